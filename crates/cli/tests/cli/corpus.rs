//! Files made to break a reader, put through the binary with little memory.

use crate::Bench;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The committed files of a fuzz target.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3, "{target}: {files:?}");
    files
}

/// Exit code of the program with 1 GiB of addresses; none if it was killed.
fn code_in_one_gib(arguments: &[&str]) -> Option<i32> {
    let script = "ulimit -v 1048576; exec \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_skyscat")]).args(arguments);
    let output = shell.output().unwrap();
    // 134: aborted by a shell's account; 101: a panic.
    output.status.code().filter(|code| *code <= 4)
}

#[test]
#[cfg(target_os = "linux")]
fn the_corpus_of_every_reader_ends_in_an_answer_within_one_gib() {
    for target in ["fits", "npy"] {
        for file in corpus(target) {
            let code = code_in_one_gib(&["info", file.to_str().unwrap()]);
            assert!(matches!(code, Some(0 | 1)), "{}: {code:?}", file.display());
        }
    }
    for file in corpus("config") {
        let code = code_in_one_gib(&["init", "-", "--config", file.to_str().unwrap()]);
        assert!(matches!(code, Some(0 | 1)), "{}: {code:?}", file.display());
    }
    // That the limit bites: a file that truly holds 1.5 GiB is beyond it.
    let bench = Bench::new();
    let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (8192, 2, 12288), }";
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend(format!("{text:<117}\n").into_bytes());
    let file = std::fs::File::create(bench.path("large.npy")).unwrap();
    std::io::Write::write_all(&mut &file, &header).unwrap();
    file.set_len(128 + 8192 * 2 * 12288 * 8).unwrap();
    let code = code_in_one_gib(&["info", bench.path("large.npy").to_str().unwrap()]);
    assert_eq!(code, None, "the limit of memory does nothing");
}
