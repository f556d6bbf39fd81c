//! Facts about the program's shape that the compiler does not check.

use std::{fs, path::Path, process::Command};

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).expect("the folder exists").flatten() {
        let path = file.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).expect("text")));
        }
    }
    found
}

#[test]
fn the_native_build_has_no_javascript_crate() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--offline",
            "--target",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && tree.contains("sha2"), "{tree}");
    for crate_name in ["js-sys", "wasm-bindgen", "web-sys", "worker", "getrandom"] {
        let is_there = tree.lines().any(|line| line.split(' ').next() == Some(crate_name));
        assert!(!is_there, "{crate_name} is in the native build");
    }
}

#[test]
fn a_pure_file_reads_no_clock_and_no_entropy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, text) in sources(&root) {
        let is_pure = !["/worker/", "/page/"].iter().any(|world| path.contains(world));
        for call in ["SystemTime::now", "Instant::now", "Date::now", "getrandom::", "Math::random"] {
            assert!(!is_pure || !text.contains(call), "{path} calls {call}");
        }
        for world in ["js_sys", "web_sys", "wasm_bindgen", "worker::"] {
            assert!(!is_pure || !text.contains(world), "{path} knows {world}");
        }
    }
}

#[test]
fn clippy_forbids_clock_and_entropy_everywhere_but_in_host() {
    let clippy =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("clippy.toml")).expect("there");
    for call in
        ["std::time::Instant::now", "std::time::SystemTime::now", "js_sys::Date::now", "getrandom::fill"]
    {
        assert!(clippy.contains(call), "{call} is not forbidden");
    }
}
