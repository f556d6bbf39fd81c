//! Facts about the program's shape that the compiler does not check.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder with this ending, by their path from the root.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in fs::read_dir(root().join(folder)).expect("the folder exists").flatten() {
        let path = file.path();
        let name = path.strip_prefix(root()).expect("it is below the root").display().to_string();
        if path.is_dir() {
            found.extend(files(&name, ending));
        } else if name.ends_with(ending) {
            found.push((name, fs::read_to_string(&path).expect("text")));
        }
    }
    found.sort();
    found
}

/// The module of a source file: `src/isolate/metrics/mod.rs` is `isolate::metrics`.
fn module(path: &str) -> String {
    let name = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs").trim_end_matches("/mod");
    name.replace('/', "::")
}

/// The paths of a use tree: `a::{b, c::d}` names `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, rest)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim_end_matches("::self").to_owned()];
    };
    let inner = rest.strip_suffix('}').expect("a tree is closed");
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (place, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let named = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    named.flat_map(|part| expand(part).into_iter().map(|path| format!("{prefix}{path}"))).collect()
}

/// A path that begins with `super::`, once or more often, as a path from the crate's root. `parent` is the module
/// above a file, or a folder's own.
fn from_super(path: &str, parent: &str, is_folder: bool) -> String {
    let mut above = parent;
    let mut rest = path;
    let mut is_first = true;
    while let Some(next) = rest.strip_prefix("super::") {
        if !is_first || is_folder {
            above = above.rsplit_once("::").map_or("", |it| it.0);
        }
        (rest, is_first) = (next, false);
    }
    format!("{above}::{rest}")
}

#[test]
fn the_import_parser_follows_every_super() {
    let modules =
        ["isolate", "isolate::share", "isolate::step", "sim", "sim::world"].map(str::to_owned).into();
    let found = |own: &str, is_folder, text: &str| imports(own, is_folder, text, &modules);
    let one = |name: &str| BTreeSet::from([name.to_owned()]);
    assert_eq!(found("isolate::share", false, "use super::step::Step;"), one("isolate::step"));
    assert_eq!(found("isolate::share", false, "use super::super::sim::world::World;"), one("sim::world"));
    assert_eq!(
        found("isolate::share", false, "fn a() { super::super::sim::world::run() }"),
        one("sim::world")
    );
    assert_eq!(found("isolate", true, "use super::sim::world;"), one("sim::world"));
    assert_eq!(found("isolate::share", false, "use super::{step, super::sim};").len(), 2);
}

/// The modules that a file imports from: for each path its longest prefix that is a file.
fn imports(own: &str, is_folder: bool, text: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(" ");
    let mut parent = own.split("::").collect::<Vec<_>>();
    if !is_folder {
        parent.pop();
    }
    let parent = parent.join("::");
    let mut paths = Vec::new();
    for part in code.split("use ").skip(1) {
        let tree = part.split(';').next().unwrap_or_default();
        if let Some(tree) = tree.strip_prefix("crate::") {
            paths.extend(expand(tree));
        } else if tree.starts_with("super::") {
            paths.extend(expand(tree).into_iter().map(|path| from_super(&path, &parent, is_folder)));
        } else if modules.contains(&format!("{parent}::{}", tree.split("::").next().unwrap_or_default())) {
            paths.extend(expand(tree).into_iter().map(|path| format!("{parent}::{path}")));
        }
    }
    // Paths in the code itself.
    let until_end = |part: &str| {
        let end = part.find(|it: char| !it.is_alphanumeric() && it != '_' && it != ':').unwrap_or(part.len());
        part[..end].to_owned()
    };
    paths.extend(code.split("crate::").skip(1).map(until_end));
    let pieces = code.split("use ").map(|part| part.split_once(';').map_or(part, |it| it.1));
    for piece in pieces {
        for (place, _) in piece.match_indices("super::") {
            // Of several `super::` in a row the first begins the path.
            if !piece[..place].ends_with("super::") {
                paths.push(from_super(&until_end(&piece[place..]), &parent, is_folder));
            }
        }
    }
    let deepest = |path: &String| {
        let mut path = path.trim_start_matches("::");
        loop {
            if modules.contains(path) {
                return Some(path.to_owned());
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    paths.iter().filter_map(deepest).filter(|it| it != own).collect()
}

/// The import graph: each module with the modules that it imports from.
fn graph() -> BTreeMap<String, BTreeSet<String>> {
    let sources = files("src", ".rs");
    let modules: BTreeSet<String> = sources.iter().map(|(path, _)| module(path)).collect();
    let one = |(path, text): &(String, String)| {
        let own = module(path);
        let found = imports(&own, path.ends_with("/mod.rs"), text, &modules);
        (own, found)
    };
    sources.iter().map(one).collect()
}

fn folder(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

#[test]
fn imports_between_folders_go_one_way_and_worlds_do_not_import_each_other() {
    let allowed = |folder: &str| match folder {
        "core" => vec!["core"],
        "protocol" => vec!["core", "protocol"],
        "isolate" => vec!["core", "protocol", "isolate"],
        "worker" => vec!["core", "protocol", "isolate", "worker"],
        "sim" => vec!["core", "protocol", "isolate", "sim"],
        // The page shows the simulated world.
        "page" => vec!["core", "protocol", "isolate", "sim", "page"],
        _ => vec!["core", "protocol", "isolate", "worker", "sim", "page"],
    };
    let graph = graph();
    assert!(graph.len() > 80, "{} files", graph.len());
    for (module, imported) in &graph {
        for other in imported {
            assert!(allowed(folder(module)).contains(&folder(other)), "{module} imports {other}");
        }
    }
}

/// Follows the imports of a module depth first, and notes each cycle.
fn visit<'a>(
    at: &'a str,
    graph: &'a BTreeMap<String, BTreeSet<String>>,
    path: &mut Vec<&'a str>,
    finished: &mut BTreeSet<&'a str>,
    circles: &mut Vec<String>,
) {
    if let Some(place) = path.iter().position(|it| *it == at) {
        circles.push(format!("{} → {at}", path[place..].join(" → ")));
        return;
    }
    if !finished.contains(at) {
        path.push(at);
        for next in graph.get(at).into_iter().flatten() {
            visit(next, graph, path, finished, circles);
        }
        path.pop();
        finished.insert(at);
    }
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let graph = graph();
    let mut finished: BTreeSet<&str> = BTreeSet::new();
    let mut circles = Vec::new();
    for module in graph.keys() {
        visit(module, &graph, &mut Vec::new(), &mut finished, &mut circles);
    }
    assert!(circles.is_empty(), "import circles:\n{}", circles.join("\n"));
}

#[test]
fn the_native_build_has_no_javascript_crate() {
    let arguments = ["tree", "--edges", "normal", "--prefix", "none", "--offline"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
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
fn a_pure_file_reads_no_clock_draws_no_random_number_and_knows_no_javascript() {
    for (path, text) in files("src", ".rs") {
        let is_pure = !["src/worker/", "src/page/", "src/lib.rs"].iter().any(|world| path.starts_with(world));
        for call in ["SystemTime::now", "Instant::now", "Date::now", "getrandom::", "Math::random"] {
            assert!(!is_pure || !text.contains(call), "{path} calls {call}");
        }
        for name in ["js_sys", "web_sys", "wasm_bindgen", "worker::"] {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(!is_pure || code.into_iter().all(|line| !line.contains(name)), "{path} knows {name}");
        }
    }
}

#[test]
fn clippy_forbids_clock_and_entropy_everywhere_but_in_the_platforms_modules() {
    let clippy = fs::read_to_string(root().join("clippy.toml")).expect("there");
    for call in
        ["std::time::Instant::now", "std::time::SystemTime::now", "js_sys::Date::now", "getrandom::fill"]
    {
        assert!(clippy.contains(call), "{call} is not forbidden");
    }
    for (path, text) in files("src", ".rs") {
        let may = path.starts_with("src/worker/platform/");
        assert!(may || !text.contains("clippy::disallowed_methods"), "{path} allows a forbidden call");
    }
}

/// The codes of promises and faults in a text: `L1`, `I3`, `F17`.
fn codes(text: &str) -> BTreeSet<String> {
    let is_code = |word: &&str| {
        let (kind, number) = word.split_at(word.len().min(1));
        matches!(kind, "L" | "I" | "F") && !number.is_empty() && number.parse::<u8>().is_ok_and(|it| it < 30)
    };
    text.split(|it: char| !it.is_ascii_alphanumeric()).filter(is_code).map(str::to_owned).collect()
}

#[test]
fn every_promise_and_fault_has_a_row_in_the_documents_and_is_named_by_a_test() {
    let rows = |name: &str| {
        let text = fs::read_to_string(root().join("docs/internals").join(name)).expect("the document exists");
        let rows = text
            .lines()
            .filter(|line| line.starts_with("| "))
            .map(|line| line[..line.len().min(12)].to_owned());
        codes(&rows.collect::<Vec<_>>().join(" "))
    };
    let known: BTreeSet<String> = rows("protocol.md").union(&rows("faults.md")).cloned().collect();
    assert!(known.len() >= 14 + 23, "{known:?}");
    let mut sources = files("tests/native", ".rs");
    sources.extend(files("tests/worker", ".mjs"));
    sources.extend(files("src/sim", ".rs"));
    sources.retain(|(path, _)| Path::new(path).file_name().is_some_and(|it| it != "structure.rs"));
    for (path, text) in &sources {
        for code in codes(text) {
            assert!(known.contains(&code), "{path} names {code}, which no document explains");
        }
    }
    let named: BTreeSet<String> = sources.iter().flat_map(|(_, text)| codes(text)).collect();
    let unnamed: Vec<_> = known.difference(&named).collect();
    assert!(unnamed.is_empty(), "no test names {unnamed:?}");
}
