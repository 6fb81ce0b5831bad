//! All mutants in one program: each behind `if crate::mutation::is(n)`, so that the tests are built
//! once and not once a mutant.
//!
//! Reads what `cargo mutants --list --json` says of the core, and rewrites the sources of a copy of
//! the repository. Left out are mutants of constant functions, of opaque results, and those that
//! the compiler refused before: their numbers are read from a file.

use std::collections::{BTreeMap, HashSet};
use std::{env, fs, path::Path};

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ImplItemFn, ItemFn, Signature, TraitItemFn, parse_quote, parse_str};

/// A mutant: its number, what kind, and what stands in its place.
struct Mutant {
    number: u32,
    genre: String,
    start: LineColumn,
    replacement: String,
}

struct Weave {
    mutants: Vec<Mutant>,
    /// Those that are woven in.
    done: Vec<u32>,
    /// Within a constant function or a constant.
    constant: u32,
}

impl Weave {
    /// The mutants of this genre whose span begins here.
    fn at(&self, genre: &str, span: Span) -> Vec<(u32, String)> {
        let (start, mutants) = (span.start(), self.mutants.iter());
        let mine = mutants.filter(|mutant| mutant.genre == genre && mutant.start == start);
        mine.map(|mutant| (mutant.number, mutant.replacement.clone())).collect()
    }

    /// Replacements of what a function does. Asked for before its body is visited.
    fn values(&self, signature: &Signature, block: &Block) -> Vec<(u32, String)> {
        // What is returned for `impl Trait` has one type, whichever mutant is alive.
        let opaque = match &signature.output {
            syn::ReturnType::Type(_, of) => matches!(**of, syn::Type::ImplTrait(_)),
            syn::ReturnType::Default => false,
        };
        let apt = signature.constness.is_none() && !opaque;
        let first = block.stmts.first().filter(|_| apt);
        first.map_or(Vec::new(), |first| self.at("FnValue", first.span()))
    }

    fn put(&mut self, values: Vec<(u32, String)>, block: &mut Block) {
        for (number, replacement) in values {
            let Ok(value) = parse_str::<Expr>(&replacement) else { continue };
            block.stmts.insert(0, parse_quote!(if crate::mutation::is(#number) { return #value; }));
            self.done.push(number);
        }
    }
}

fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        Expr::Paren(paren) => has_let(&paren.expr),
        _ => false,
    }
}

impl VisitMut for Weave {
    fn visit_item_fn_mut(&mut self, item: &mut ItemFn) {
        let values = self.values(&item.sig, &item.block);
        let constant = u32::from(item.sig.constness.is_some());
        self.constant += constant;
        visit_mut::visit_item_fn_mut(self, item);
        self.constant -= constant;
        self.put(values, &mut item.block);
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut ImplItemFn) {
        let values = self.values(&item.sig, &item.block);
        let constant = u32::from(item.sig.constness.is_some());
        self.constant += constant;
        visit_mut::visit_impl_item_fn_mut(self, item);
        self.constant -= constant;
        self.put(values, &mut item.block);
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut TraitItemFn) {
        let values = item.default.as_ref().map(|block| self.values(&item.sig, block));
        visit_mut::visit_trait_item_fn_mut(self, item);
        if let (Some(block), Some(values)) = (&mut item.default, values) {
            self.put(values, block);
        }
    }

    fn visit_item_const_mut(&mut self, _: &mut syn::ItemConst) {}
    fn visit_impl_item_const_mut(&mut self, _: &mut syn::ImplItemConst) {}
    fn visit_trait_item_const_mut(&mut self, _: &mut syn::TraitItemConst) {}
    fn visit_item_static_mut(&mut self, _: &mut syn::ItemStatic) {}
    fn visit_type_mut(&mut self, _: &mut syn::Type) {}
    fn visit_expr_const_mut(&mut self, _: &mut syn::ExprConst) {}
    // The length of an array.
    fn visit_expr_repeat_mut(&mut self, repeat: &mut syn::ExprRepeat) {
        self.visit_expr_mut(&mut repeat.expr);
    }
    fn visit_generic_argument_mut(&mut self, _: &mut syn::GenericArgument) {}

    fn visit_arm_mut(&mut self, arm: &mut syn::Arm) {
        let (deleted, guard) = (self.at("MatchArm", arm.pat.span()), arm.guard.as_ref());
        let guards = guard.map_or(Vec::new(), |(_, guard)| self.at("MatchArmGuard", guard.span()));
        visit_mut::visit_arm_mut(self, arm);
        if self.constant > 0 {
            return;
        }
        if arm.guard.as_ref().is_some_and(|(_, guard)| has_let(guard)) {
            return;
        }
        for (number, replacement) in guards {
            let Some((_, guard)) = &mut arm.guard else { continue };
            let Ok(value) = parse_str::<Expr>(&replacement) else { continue };
            let before = guard.clone();
            **guard = parse_quote!(if crate::mutation::is(#number) { #value } else { #before });
            self.done.push(number);
        }
        for (number, _) in deleted {
            let before: Expr = arm.guard.take().map_or(parse_quote!(true), |(_, guard)| *guard);
            arm.guard = Some((
                Default::default(),
                parse_quote!(!crate::mutation::is(#number) && (#before)),
            ));
            self.done.push(number);
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        let mutants = match &*expr {
            Expr::Binary(binary) if !has_let(expr) => self.at("BinaryOperator", binary.op.span()),
            Expr::Unary(unary) => self.at("UnaryOperator", unary.op.span()),
            Expr::Struct(made) => {
                let fields = made.fields.iter().enumerate();
                let of = |(index, field): (usize, &syn::FieldValue)| {
                    let mutants = self.at("StructField", field.span()).into_iter();
                    mutants.map(move |(number, _)| (number, index.to_string()))
                };
                fields.flat_map(of).collect()
            }
            _ => Vec::new(),
        };
        visit_mut::visit_expr_mut(self, expr);
        if self.constant > 0 {
            return;
        }
        let before = expr.clone();
        for (number, replacement) in mutants {
            let other = match &before {
                Expr::Binary(binary) => {
                    let Ok(op) = parse_str::<syn::BinOp>(&replacement) else { continue };
                    let mut other = syn::ExprBinary { op, ..binary.clone() };
                    // `a as u8 < b` would begin a list of types.
                    let (left, right) = (&binary.left, &binary.right);
                    *other.left = parse_quote!((#left));
                    *other.right = parse_quote!((#right));
                    Expr::Binary(other)
                }
                Expr::Unary(unary) => (*unary.expr).clone(),
                Expr::Struct(made) => {
                    let mut made = made.clone();
                    let without = made.fields.into_iter().enumerate();
                    let without = without.filter(|(index, _)| index.to_string() != replacement);
                    made.fields = without.map(|(_, field)| field).collect();
                    if !made.fields.empty_or_trailing() {
                        made.fields.push_punct(Default::default());
                    }
                    Expr::Struct(made)
                }
                _ => continue,
            };
            let inner = expr.clone();
            // Parentheses: an `if` at the beginning of a statement would end it.
            let chosen =
                quote::quote!((if crate::mutation::is(#number) { #other } else { #inner }));
            let Ok(chosen) = syn::parse2(chosen.clone()) else {
                eprintln!("{number} is left out: {chosen}");
                continue;
            };
            *expr = chosen;
            self.done.push(number);
        }
    }
}

const RUNTIME: &str = r#"//! Which mutant is alive.
#![allow(missing_docs)]
use std::io::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ALIVE: LazyLock<u32> = LazyLock::new(|| {
    std::env::var("MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
});
static TRACE: LazyLock<Option<std::string::String>> =
    LazyLock::new(|| std::env::var("MUTANT_TRACE").ok());
static REACHED: [AtomicBool; 16384] = [const { AtomicBool::new(false) }; 16384];

#[inline]
pub fn is(number: u32) -> bool {
    if *ALIVE == u32::MAX {
        reached(number);
    }
    *ALIVE == number
}

#[cold]
fn reached(number: u32) {
    let Some(file) = &*TRACE else { return };
    if REACHED[number as usize].swap(true, Ordering::Relaxed) {
        return;
    }
    let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
    let _ = file.and_then(|mut file| file.write_all(std::format!("{number}\n").as_bytes()));
}
"#;

fn main() {
    let args: Vec<String> = env::args().collect();
    let [_, list, root, refused] = &args[..] else {
        panic!("usage: tinybt-mutants LIST.json COPY REFUSED.txt");
    };
    let refused: HashSet<u32> = fs::read_to_string(refused)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect();
    let list: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(list).expect("a list")).expect("JSON");
    let mut files: BTreeMap<String, Vec<Mutant>> = BTreeMap::new();
    for (number, mutant) in list.as_array().expect("an array").iter().enumerate() {
        let at = |which: &str| {
            let at = &mutant["span"][which];
            let number = |key: &str| at[key].as_u64().expect("a number") as usize;
            LineColumn { line: number("line"), column: number("column") - 1 }
        };
        let text = |key: &str| mutant[key].as_str().unwrap_or_default().to_owned();
        if refused.contains(&(number as u32)) {
            continue;
        }
        files.entry(text("file")).or_default().push(Mutant {
            number: number as u32,
            genre: text("genre"),
            start: at("start"),
            replacement: text("replacement"),
        });
    }
    let root = Path::new(root);
    let mut done = Vec::new();
    for (file, mutants) in files {
        let path = root.join(&file);
        let mut tree =
            syn::parse_file(&fs::read_to_string(&path).expect("a source")).expect("Rust");
        let mut weave = Weave { mutants, done: Vec::new(), constant: 0 };
        weave.visit_file_mut(&mut tree);
        done.extend(weave.done);
        fs::write(&path, prettyplease::unparse(&tree)).expect("written");
    }
    let lib = root.join("core/src/lib.rs");
    let text = fs::read_to_string(&lib).expect("a root");
    let text = text
        .replace("pub mod announce;", "extern crate std;\npub mod mutation;\npub mod announce;");
    let text = format!("#![allow(warnings, arithmetic_overflow, unconditional_panic)]\n{text}");
    fs::write(&lib, text).expect("written");
    fs::write(root.join("core/src/mutation.rs"), RUNTIME).expect("written");
    done.sort_unstable();
    let done: Vec<String> = done.iter().map(ToString::to_string).collect();
    println!("{}", done.join("\n"));
}
