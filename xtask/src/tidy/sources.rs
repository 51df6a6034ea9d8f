//! Checks on the text of the repository: sizes, and what may be named where.

use super::lexer::{Split, split};
use super::named_tests;
use anyhow::{Context, Result};
use std::path::{Component, Path, PathBuf};

/// Lines of a file of code or text.
const FILE_LINES: usize = 600;
/// Lines of a function.
const FUNCTION_LINES: usize = 80;
/// Bytes of a committed data file.
const DATA_BYTES: u64 = 64 * 1024;

/// Folders of committed data.
const DATA: &[&str] = &["tests/golden/", "/data/", "tests/fuzz/corpus/"];

/// Something that only some folders may name.
struct Reserved {
    words: &'static [&'static str],
    allowed: &'static [&'static str],
    why: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        words: &["wgpu"],
        allowed: &["crates/gpu/"],
        why: "devices are named in crates/gpu only",
    },
    Reserved {
        words: &["std::fs", "File::open", "File::create"],
        allowed: &["crates/io/", "crates/cli/", "xtask/", "tests/", "benches/", "shaders/build.rs"],
        why: "files belong to io, cli and xtask",
    },
    Reserved {
        words: &["println!", "eprintln!", "print!", "eprint!", "dbg!"],
        allowed: &["crates/cli/", "xtask/", "tests/", "benches/", "shaders/build.rs"],
        why: "nothing below cli prints",
    },
];

/// Folders of the root that a path in a string must not begin with.
const ROOTS: &[&str] =
    &["etc", "home", "mnt", "opt", "private", "root", "srv", "tmp", "usr", "var", "work", "Users"];

/// Checks every file below `root`; returns how many were read.
///
/// # Errors
/// A folder or file that cannot be read.
pub(super) fn check(root: &Path, faults: &mut Vec<String>) -> Result<usize> {
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    files.sort();
    for file in &files {
        let name = file.to_string_lossy().replace('\\', "/");
        let path = root.join(file);
        let extension = file.extension().unwrap_or_default().to_string_lossy().into_owned();
        match extension.as_str() {
            "rs" | "md" | "toml" | "wgsl" | "cff" => {
                let text = std::fs::read_to_string(&path).with_context(|| name.clone())?;
                if text.lines().count() > FILE_LINES {
                    let lines = text.lines().count();
                    faults.push(format!("{name}: {lines} lines, allowed are {FILE_LINES}"));
                }
                match extension.as_str() {
                    "rs" => check_rust(&name, &text, faults),
                    _ => check_text(&name, &text, faults),
                }
            }
            _ if DATA.iter().any(|folder| name.contains(folder)) => {
                let size = path.metadata().with_context(|| name.clone())?.len();
                if size > DATA_BYTES {
                    faults.push(format!("{name}: {size} bytes, allowed are {DATA_BYTES}"));
                }
            }
            _ => {}
        }
    }
    let rust = files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs"));
    let rust: Vec<&Path> = rust.map(PathBuf::as_path).collect();
    named_tests::check(root, &rust, faults)?;
    Ok(files.len())
}

/// Files below a folder, as paths from the root; hidden ones and builds left out.
fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (path, kind) = (entry.path(), entry.file_type()?);
        let skipped = name.starts_with('.') || name == "target" || name == "venv";
        if kind.is_dir() && !skipped {
            collect(root, &path, files)?;
        } else if kind.is_file() && (!name.starts_with('.') || name == ".gitignore") {
            files.push(path.strip_prefix(root).expect("below the root").to_owned());
        }
    }
    Ok(())
}

fn check_rust(name: &str, text: &str, faults: &mut Vec<String>) {
    let Split { code, strings } = split(text);
    if !text.starts_with("//!") {
        faults.push(format!("{name}:1: a file opens with a //! sentence"));
    }
    for reserved in RESERVED {
        let is_example = name.contains("/examples/") && reserved.words.contains(&"println!");
        if is_example || reserved.allowed.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        for (at, line) in code.lines().enumerate() {
            if let Some(word) = reserved.words.iter().find(|word| names(line, word)) {
                faults.push(format!("{name}:{}: {word}: {}", at + 1, reserved.why));
            }
        }
    }
    for (line, function, lines) in long_functions(&code) {
        faults.push(format!(
            "{name}:{line}: fn {function} has {lines} lines, allowed are {FUNCTION_LINES}"
        ));
    }
    for (line, string) in &strings {
        if is_absolute(string) {
            faults.push(format!("{name}:{line}: {string:?} is an absolute path"));
        }
        if name != "tests/lib.rs" && leaves(name, string) {
            faults.push(format!("{name}:{line}: {string:?} leaves the repository"));
        }
    }
}

/// Prose and manifests: no path of one machine, no path out of the repository.
fn check_text(name: &str, text: &str, faults: &mut Vec<String>) {
    let ends = |c: char| c.is_whitespace() || "`'\"()[]{}<>,;:=".contains(c);
    for (at, line) in text.lines().enumerate() {
        for word in line.split(ends).filter(|word| !word.is_empty()) {
            if is_absolute(word) {
                faults.push(format!("{name}:{}: {word:?} is an absolute path", at + 1));
            }
            if leaves(name, word) {
                faults.push(format!("{name}:{}: {word:?} leaves the repository", at + 1));
            }
        }
    }
}

/// Whether a line of code has a word that is not the end of a longer one.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(part))
}

fn is_absolute(path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next());
    let drive = path.as_bytes();
    let windows = drive.len() > 3
        && drive[0].is_ascii_uppercase()
        && drive[1..].starts_with(b":\\")
        && path.chars().all(|c| !c.is_whitespace());
    windows || first.is_some_and(|first| ROOTS.contains(&first) && path.len() > first.len() + 2)
}

/// Whether a path that begins with `..` climbs above the repository, seen from
/// the folder of the file and from the root of its crate, whichever is deeper.
fn leaves(file: &str, path: &str) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path != ".." && !path.starts_with("../") {
        return false;
    }
    let climbs = Path::new(path).components().take_while(|c| *c == Component::ParentDir).count();
    climbs > file.matches('/').count()
}

/// Functions longer than allowed: line, name, lines. A function that is mostly
/// rows of a table is left alone.
fn long_functions(code: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let Some(length) = body_lines(&lines[at..]) else { continue };
        let rows = lines[at..at + length].iter().filter(|line| is_table_row(line)).count();
        if length > FUNCTION_LINES && 2 * rows < length {
            found.push((at + 1, name, length));
        }
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern"];
    let word = words.find(|word| !qualifiers.contains(word))?;
    let name = words.next().filter(|_| word == "fn")?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// Lines from a signature to the brace that closes its body; `None` without one.
fn body_lines(lines: &[&str]) -> Option<usize> {
    let (mut depth, mut brackets) = (0usize, 0usize);
    for (at, line) in lines.iter().enumerate() {
        for c in line.chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                ';' if depth == 0 && brackets == 0 => return None,
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
    }
    None
}

/// A line of literals: it holds digits, commas and brackets, and no call.
fn is_table_row(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.chars().all(|c| c.is_ascii_digit() || "()[]{},.-+_ e".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(name: &str, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check_rust(name, text, &mut faults);
        faults
    }

    #[test]
    fn reserved_words_are_found_in_code_alone() {
        let quiet = "//! A sentence on wgpu and std::fs.\nfn f() { g(\"wgpu println!\") }\n";
        assert_eq!(rust("crates/num/src/a.rs", quiet), Vec::<String>::new());
        for (word, line) in [
            ("wgpu", "use wgpu::Device;"),
            ("std::fs", "std::fs::read(path);"),
            ("println!", "println!();"),
            ("eprintln!", "eprintln!();"),
        ] {
            let text = format!("//! One.\n\n{line}\n");
            let faults = rust("crates/num/src/a.rs", &text);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].starts_with("crates/num/src/a.rs:3:"), "{}", faults[0]);
            assert!(faults[0].contains(word), "{}", faults[0]);
        }
        assert!(rust("crates/io/src/a.rs", "//! One.\nuse std::fs;\n").is_empty());
        assert!(rust("crates/num/examples/a.rs", "//! One.\nprintln!();\n").is_empty());
    }

    #[test]
    fn long_functions_are_named_and_tables_are_not() {
        let body = |row: &str| format!("//! One.\nfn long() {{\n{}}}\n", row.repeat(80));
        let faults = rust("crates/num/src/a.rs", &body("    call();\n"));
        assert!(faults[0].contains("crates/num/src/a.rs:2: fn long has 82 lines"), "{faults:?}");
        assert!(rust("crates/num/src/a.rs", &body("    [1.0, 2e-3],\n")).is_empty());
        let declared =
            format!("//! One.\ntrait T {{\n    fn short();\n{}}}\n", "// x\n".repeat(90));
        assert!(rust("crates/num/src/a.rs", &declared).is_empty());
    }

    #[test]
    fn paths_of_one_machine_and_out_of_the_repository_are_found() {
        let text = |path: &str| format!("//! One.\nconst P: &str = \"{path}\";\n");
        // Put together here, so that this file itself passes.
        let drive = ["C:", "maps", "x"].join("\\");
        let home = format!("/{}", ["home", "someone"].join("/"));
        for path in [home.as_str(), drive.as_str(), "../../../x"] {
            let faults = rust("crates/num/a.rs", &text(path));
            assert_eq!(faults.len(), 1, "{path}: {faults:?}");
        }
        assert!(rust("crates/num/src/a.rs", &text("../data/x.npy")).is_empty());
        assert!(rust("tests/lib.rs", &text("../../x")).is_empty());
        assert!(rust("crates/num/src/a.rs", &text("/OUT")).is_empty());
        assert!(!rust("tests/other.rs", &text("../../x")).is_empty());
    }

    #[test]
    fn prose_is_checked_too() {
        let mut faults = Vec::new();
        let home = format!("/{}", ["home", "x"].join("/"));
        let line = format!("see [the crate](../crates/num) and `{home}`\n");
        check_text("docs/A.md", &line, &mut faults);
        assert_eq!(faults, [format!("docs/A.md:1: {home:?} is an absolute path")]);
        check_text("README.md", "see ../elsewhere\n", &mut faults);
        assert!(faults[1].contains("leaves the repository"), "{faults:?}");
    }

    #[test]
    fn a_file_opens_with_a_sentence() {
        assert!(rust("a.rs", "fn main() {}\n")[0].contains("opens with a //! sentence"));
    }
}
