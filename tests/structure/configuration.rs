//! `docs/configuration.md` and `.env.example` name the same variables with the same defaults. (Tests of `src/settings` compare the latter
//! with the program.)

use std::collections::BTreeMap;
use std::fs;

use super::report;
use super::sources::repository;

#[test]
fn the_document_has_every_variable_with_its_default() {
    let document = fs::read_to_string(repository().join("docs/configuration.md")).unwrap();
    let example = fs::read_to_string(repository().join(".env.example")).unwrap();
    let documented: BTreeMap<&str, &str> = document
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
            Some((cells.next()?.strip_suffix('`')?, cells.next()?.trim_matches('`')))
        })
        .collect();
    let defaults: BTreeMap<&str, &str> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .filter(|(name, _)| name.chars().all(|char| char.is_ascii_uppercase() || char == '_'))
        .collect();
    let mut problems = Vec::new();
    for (name, default) in &defaults {
        match documented.get(name) {
            None => problems.push(format!("docs/configuration.md has no row for {name}")),
            Some(shown) if shown != default => {
                problems.push(format!("docs/configuration.md says {name}={shown}, .env.example {name}={default}"));
            }
            Some(_) => {}
        }
    }
    let unknown = documented.keys().filter(|name| !defaults.contains_key(**name));
    problems.extend(unknown.map(|name| format!("docs/configuration.md has {name}, .env.example does not")));
    report(&problems, "Correct the row of the variable.");
}
