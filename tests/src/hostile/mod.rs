//! Attackers, and what they come to: a file an attack.
//!
//! [`stage`] is an emulated network in which some lie and some crowd a target; [`liars`] and
//! [`crowd`] send searchers through it, and [`paths`] the same ones on several paths. [`flood`] throws datagrams of all kinds at one node while it
//! looks for peers, [`votes`] lies to it about its address, and [`amplification`] weighs what it
//! sends against what it was sent. Each gives figures, with its protections on and off.

pub mod amplification;
pub mod crowd;
pub mod flood;
pub mod liars;
pub mod paths;
pub mod stage;
pub mod votes;

use std::fmt;

/// Figures in rows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What the columns are.
    pub head: Vec<String>,
    /// As many cells in each as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// No rows yet.
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|cell| (*cell).to_owned()).collect(), rows: Vec::new() }
    }

    /// One more row.
    pub fn row(&mut self, cells: &[&dyn fmt::Display]) {
        self.rows.push(cells.iter().map(|cell| cell.to_string()).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| {
            rows().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> =
            (0..self.head.len()).map(|column| width(column).unwrap_or(0)).collect();
        for row in rows() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "{cell:width$}")?,
                    _ => write!(f, "  {cell:>width$}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
