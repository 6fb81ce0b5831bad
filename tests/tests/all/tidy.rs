//! What the architecture is, said as what is not there: the sources are read as text, and the test
//! fails when something appears.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files below a folder with one of these endings, and what is in them.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let (mut found, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            if entry.is_dir() {
                if !matches!(&*name, "target" | ".git" | "corpus" | "artifacts") {
                    folders.push(entry);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let path = entry.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push((path, fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing below {folder}");
    found
}

/// The code of a file: without comments and what is in doc examples.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Lines of code in which one of these words stands, as far as they are not allowed.
fn lines_with(path: &str, text: &str, words: &[&str]) -> Vec<String> {
    code(text)
        .lines()
        .enumerate()
        .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        .map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim()))
        .collect()
}

fn absent(folder: &str, only: impl Fn(&str) -> bool, words: &[&str]) {
    let mut seen = 0;
    let mut found = Vec::new();
    for (path, text) in files(folder, &[".rs"]).iter().filter(|(path, _)| only(path)) {
        seen += 1;
        found.extend(lines_with(path, text, words));
    }
    assert!(seen > 0, "no file of {folder} was meant");
    assert!(found.is_empty(), "{words:?} where they must not be:\n{}", found.join("\n"));
}

fn is_one_of<'a>(names: &'a [&'a str]) -> impl Fn(&str) -> bool + 'a {
    move |path| {
        names.iter().any(|name| {
            path == format!("core/src/{name}.rs") || path.starts_with(&format!("core/src/{name}/"))
        })
    }
}

#[test]
fn core_names_no_std_no_device_and_nothing_unsafe() {
    let words = [
        "std::",
        "unsafe ",
        "HashMap",
        "HashSet",
        "println!",
        "thread",
        "UdpSocket",
        "log::",
        "SystemTime",
        "::now()",
    ];
    absent("core/src", |_| true, &words);
    let root = fs::read_to_string(root().join("core/src/lib.rs")).unwrap();
    assert!(root.contains("#![no_std]") && root.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn core_allocates_behind_the_feature_alone() {
    for (path, text) in files("core/src", &[".rs"]) {
        let uses = lines_with(&path, &text, &["alloc::", "extern crate alloc"]);
        assert!(
            uses.is_empty() || text.contains("#[cfg(feature = ") || is_gated(&path),
            "{uses:?}"
        );
    }
}

/// Whether a module is declared behind a feature, or one that it is part of.
fn is_gated(path: &str) -> bool {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let Some((parent, name)) = path.rsplit_once('/').filter(|(_, name)| *name != "src") else {
        return false;
    };
    let candidates =
        [format!("{parent}/lib.rs"), format!("{parent}/mod.rs"), format!("{parent}.rs")];
    let mut declares =
        candidates.iter().filter_map(|file| fs::read_to_string(root().join(file)).ok());
    let gates = |text: String| {
        let lines: Vec<&str> = text.lines().collect();
        let names = [format!("mod {name};"), format!("pub mod {name};")];
        lines.windows(2).any(|pair| {
            pair[0].starts_with("#[cfg(feature = ") && names.iter().any(|name| pair[1] == name)
        })
    };
    declares.any(gates) || is_gated(parent)
}

#[test]
fn core_cannot_panic_on_input() {
    let unfinished = [concat!("to", "do!("), concat!("unimpl", "emented!(")];
    let words = [".unwrap()", ".expect(", "panic!(", "unreachable!("];
    absent("core/src", |_| true, &unfinished);
    absent("core/src", |_| true, &words);
}

#[test]
fn bytes_know_neither_time_nor_state() {
    let words = ["Instant", "Duration", "crate::dht", "crate::time", "crate::machine", "Machine"];
    absent("core/src", is_one_of(&["wire"]), &words);
}

#[test]
fn the_leaves_know_no_messages() {
    let names = [
        "dht/table",
        "dht/queries",
        "dht/lookup",
        "dht/token",
        "dht/held",
        "dht/scraped",
        "dht/size",
        "dht/external",
        "budget",
        "dht/budget",
        "dht/bootstrap",
        "dht/shunned",
        "dht/schedule",
        "dht/crawl/plan",
        "dht/crawl/known",
        "dht/crawl/prefix",
        "dht/crawl/seen",
        "dht/bloom",
    ];
    absent("core/src", is_one_of(&names), &["wire::", "krpc", "Machine"]);
}

#[test]
fn items_know_bencoding_and_no_messages() {
    let names = ["dht/item", "dht/items", "dht/signing", "dht/found", "follow"];
    absent("core/src", is_one_of(&names), &["krpc", "Machine"]);
    absent(
        "core/src",
        is_one_of(&[
            "dht/item",
            "dht/signing",
            "dht/held",
            "dht/scraped",
            "dht/found",
            "dht/size",
            "follow",
        ]),
        &["Instant", "Duration"],
    );
}

#[test]
fn the_lookup_knows_no_clock() {
    absent("core/src", is_one_of(&["dht/lookup"]), &["Instant", "Duration", "crate::time"]);
}

#[test]
fn only_the_composing_files_name_both_codec_and_contract() {
    for (path, text) in files("core/src", &[".rs"]) {
        let text = code(&text);
        let codec = text.contains("krpc") || text.contains("udp_tracker");
        let both = text.contains("Machine for") && codec;
        let composing = path.starts_with("core/src/dht/node/")
            || [
                "core/src/dht/dual.rs",
                "core/src/dht/crawl/mod.rs",
                "core/src/tracker/udp/mod.rs",
                "core/src/tracker/server/udp.rs",
            ]
            .contains(&&*path);
        assert!(!both || composing, "{path}");
    }
}

#[test]
fn one_file_of_the_runtimes_reads_the_clock() {
    let reads = |folder: &str| {
        let all = files(folder, &[".rs"]).into_iter();
        all.filter(|(path, text)| {
            !path.contains("/bin/")
                && !lines_with(path, text, &["Instant::now", "elapsed()"]).is_empty()
        })
        .map(|(path, _)| path)
        .collect::<Vec<_>>()
    };
    assert_eq!(reads("runtime/src"), ["runtime/src/pump.rs"]);
    assert!(reads("runtime-std/src").is_empty());
    assert!(reads("runtime-smol/src").is_empty());
}

#[test]
fn runtimes_are_thin() {
    let lines = |folder: &str| -> usize {
        let all = files(folder, &[".rs"]).into_iter();
        all.filter(|(path, _)| !path.contains("/bin/")).map(|(_, text)| text.lines().count()).sum()
    };
    let shared = lines("runtime/src");
    for folder in ["runtime-std/src", "runtime-smol/src"] {
        let driver = fs::read_to_string(root().join(folder).join("driver.rs")).unwrap();
        assert!(driver.lines().count() <= 150, "{folder}: a driver waits, and does nothing else");
        let share = shared * 100 / (shared + lines(folder));
        assert!(share >= 80, "{folder}: {share} % of what it needs is shared");
    }
}

#[test]
fn tests_do_not_sleep_and_are_not_switched_off() {
    let sleeps = concat!("thread::", "sleep");
    let ignored = concat!("#[", "ignore");
    absent("tests", |path| !path.ends_with("tidy.rs"), &[sleeps, ignored]);
    absent("examples", |_| true, &[sleeps, ignored]);
}

#[test]
fn examples_are_short_named_in_the_readme_and_say_how_to_run_them() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let examples = files("examples", &[".rs"]);
    let examples = examples.iter().filter(|(path, _)| path.matches('/').count() == 1);
    let mut seen = 0;
    for (path, text) in examples {
        seen += 1;
        let name = path.trim_start_matches("examples/").trim_end_matches(".rs");
        let command = format!("//! cargo run -p tinybt-examples --example {name}\n");
        assert!(text.starts_with("//!") && text.contains(&command), "{path}");
        assert!(text.lines().count() <= 200, "{path} is more than one reads in a sitting");
        assert!(readme.contains(&format!("`{name}`")), "the README does not know {path}");
    }
    assert!(seen >= 5);
}

#[test]
fn executors_are_for_their_runtime_and_for_examples() {
    for (path, text) in ["core", "runtime-std"].iter().flat_map(|dir| files(dir, &["Cargo.toml"])) {
        assert!(!text.contains("tokio") && !text.contains("async-"), "{path} names an executor");
    }
}

#[test]
fn files_are_small_and_finished() {
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    for (path, text) in files(".", &[".rs", ".py", ".toml", ".md"]) {
        let len = text.lines().count();
        assert!(len <= 700, "{path} has {len} lines: it may hold more than one idea");
        for word in unfinished {
            assert!(!text.contains(word), "{path} says {word}");
        }
    }
}

#[test]
fn no_machine_and_no_registry_is_named() {
    let words = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("deb.debian", ".org"),
        concat!("npmjs", ".com"),
    ];
    for (path, text) in files(".", &[".rs", ".py", ".toml", ".md", "run", ".sh"]) {
        for word in words {
            assert!(!text.contains(word), "{path} says {word}");
        }
    }
}

#[test]
fn every_file_of_core_says_what_it_is() {
    for (path, text) in files("core/src", &[".rs"]) {
        assert!(text.starts_with("//!"), "{path} has no theory of operation");
    }
}
