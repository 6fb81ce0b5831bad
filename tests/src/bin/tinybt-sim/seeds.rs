//! Seeds of the fuzz targets, from the vectors of the tests.
#![allow(clippy::print_stdout)]

use std::fs;
use std::io;
use std::path::Path;

use tinybt_tests::seeds::{TARGETS, name, seeds};

pub(crate) fn run() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let into = root.join("../fuzz/seeds");
    let seeds = seeds(&root.join("tests/all"))?;
    for (target, _) in TARGETS {
        fs::create_dir_all(into.join(target))?;
        let mine = seeds.iter().filter(|(of, _)| *of == target);
        let (mut count, mut bytes) = (0, 0);
        for (_, seed) in mine {
            fs::write(into.join(target).join(name(seed)), seed)?;
            count += 1;
            bytes += seed.len();
        }
        println!("{target}: {count} seeds, {bytes} bytes");
    }
    Ok(())
}
