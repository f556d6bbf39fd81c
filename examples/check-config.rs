//! Parses a deployment's settings natively, before anything is uploaded: reads JSON from standard input
//! (`{"vars": {…}, "has_origin_binding": false}`), and prints one sentence if a setting is refused.

use std::{io::Read, process::ExitCode};

use serde_json::{Map, Value};
use xfetch_edge::core::config::Config;

fn main() -> ExitCode {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("The settings cannot be read: {error}.");
        return ExitCode::FAILURE;
    }
    match check(&text) {
        Ok(config) => {
            println!("{} routes, all settings accepted.", config.routes.len());
            ExitCode::SUCCESS
        }
        Err(refused) => {
            eprintln!("{refused}");
            ExitCode::FAILURE
        }
    }
}

fn check(text: &str) -> Result<Config, String> {
    let given: Value = serde_json::from_str(text).map_err(|error| format!("Not JSON: {error}."))?;
    let empty = Map::new();
    let vars = given["vars"].as_object().unwrap_or(&empty);
    let has_binding = given["has_origin_binding"].as_bool().unwrap_or(false);
    Config::parse(vars, has_binding).map_err(|refused| refused.to_string())
}
