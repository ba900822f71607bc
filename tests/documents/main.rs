//! Runs each block of shell and SQL of the documents in a directory like a reader's, with a real broker. Fails for a command that is
//! neither run nor in [`NOT_RUN`], and for an output that differs from the program's.

// Helpers of tests may panic as tests may; clippy.toml's exception knows only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod blocks;
mod outputs;
mod stage;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use blocks::{Block, NOT_RUN, commands, not_run, repository};
use stage::Stage;

#[test]
fn every_block_says_its_language() {
    for block in blocks::all() {
        assert!(!block.language.is_empty(), "the block at {} has no language", block.place());
    }
}

/// Each entry of the table is needed, and the file that covers it exists.
#[test]
fn every_command_that_is_not_run_is_covered() {
    let shell: Vec<Block> = blocks::all().into_iter().filter(Block::is_shell).collect();
    let used: BTreeSet<usize> =
        shell.iter().flat_map(|block| commands(&block.text)).filter_map(|it| not_run(&it)).collect();
    for (at, (beginning, reason, covered_by)) in NOT_RUN.iter().enumerate() {
        assert!(used.contains(&at), "no document has a command '{beginning}' ({reason}): remove it from the table");
        assert!(repository().join(covered_by).exists(), "there is no {covered_by} to cover '{beginning}'");
    }
}

#[test]
fn blocks_run_and_print_what_is_shown() {
    let all = blocks::all();
    let stage = Stage::after_quickstart(repository());
    outputs::compare(&stage, &all);
    for block in &all {
        if block.is_sql() {
            run_sql(&stage, block);
        } else if block.is_shell() && is_settings_file(&block.text) {
            accept_settings(&stage, block);
        } else if block.is_shell() {
            run_shell(&stage, block);
        }
    }
}

/// Line by line, without the commands of the table; Kafka's own tool for groups runs from its jars.
fn run_shell(stage: &Stage, block: &Block) {
    let mut script = String::new();
    let run = |script: &mut String| {
        let output = stage.shell(&std::mem::take(script), &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the block at {}: {}\n{said}", block.place(), output.status);
    };
    for command in commands(&block.text) {
        if let Some(arguments) = command.strip_prefix("kafka-consumer-groups.sh ") {
            run(&mut script);
            let words = arguments.replace("\\\n", " ");
            let words: Vec<&str> = words.split_whitespace().collect();
            let words = words.strip_prefix(&["--bootstrap-server", "localhost:9092"]).unwrap();
            stage
                .cluster
                .consumer_groups(words)
                .unwrap_or_else(|error| panic!("the block at {}: {error}", block.place()));
        } else if not_run(&command).is_none() {
            script.extend([command.as_str(), "\n"]);
        }
    }
    run(&mut script);
}

/// In the database that its first line names, as in `-- sqlite3 -readonly data/first.db`; else in that of the quick start. It must print
/// rows, and create no database.
fn run_sql(stage: &Stage, block: &Block) {
    let named = block.text.lines().next().and_then(|line| line.strip_prefix("-- sqlite3 "));
    let arguments = named.unwrap_or("-readonly data/enterprise.db");
    fs::write(stage.path().join("block.sql"), &block.text).unwrap();
    let before = databases(stage.path());
    let output = stage.shell(&format!("sqlite3 -bail {arguments} < block.sql"), &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "the block at {}: {}\n{said}", block.place(), output.status);
    assert!(!output.stdout.is_empty(), "the block at {} gives no row", block.place());
    assert_eq!(databases(stage.path()), before, "the block at {} makes a database", block.place());
}

fn databases(directory: &Path) -> BTreeSet<PathBuf> {
    let folders = [directory.to_owned(), directory.join("data")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "db")).collect()
}

/// Nothing but `NAME=value`.
fn is_settings_file(text: &str) -> bool {
    text.lines().all(|line| {
        let is_name = |name: &str| name.chars().all(|char| char.is_ascii_uppercase() || char == '_');
        line.split_once('=').is_some_and(|(name, value)| is_name(name) && !value.contains(' '))
    })
}

/// Settings that the program accepts; the files that they name need not exist.
fn accept_settings(stage: &Stage, block: &Block) {
    fs::write(stage.path().join("block.env"), &block.text).unwrap();
    let output = stage.shell("unset KAFKA_BOOTSTRAP_SERVERS; \"$PROGRAM\" --env-file block.env status", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "the block at {}: {}\n{said}", block.place(), output.status);
}
