//! Runs wasm-bindgen on a compiled module.
//!
//! `bindgen module|web INPUT FOLDER NAME` reads the wasm file `INPUT` and writes `NAME.js` and `NAME_bg.wasm`
//! into `FOLDER`: as an ES module with a source-phase import for the Worker, or for a page. wasm-bindgen's own
//! command line tool does the same, and takes minutes to compile, because it contains a test server and an
//! HTTP client.

use anyhow::{Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [target, input, folder, name] = words.as_slice() else {
        bail!("usage: bindgen module|web INPUT FOLDER NAME");
    };
    let mut bindgen = Bindgen::new();
    match target.as_str() {
        // After a panic the Worker resets the state of the instance.
        "module" => bindgen.module(true)?.reset_state_function(true).force_enable_abort_handler(true),
        "web" => bindgen.web(true)?,
        other => bail!("unknown target {other}: module or web"),
    };
    bindgen.input_path(input).out_name(name).typescript(false).generate(folder)
}
