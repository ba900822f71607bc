//! The fenced blocks of the documents, and the commands in them that a test cannot run. Must not run anything.

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// Relative to the repository.
    pub document: PathBuf,
    /// Of the line that opens it, from 1.
    pub line: usize,
    /// The first word after the fence.
    pub language: String,
    pub text: String,
}

impl Block {
    pub fn is_shell(&self) -> bool {
        ["sh", "bash", "shell", "console"].contains(&self.language.as_str())
    }

    pub fn is_sql(&self) -> bool {
        ["sql", "sqlite"].contains(&self.language.as_str())
    }

    /// The output of a program.
    pub fn is_output(&self) -> bool {
        ["text", "json"].contains(&self.language.as_str()) && !self.is_figure()
    }

    /// Drawn with lines.
    fn is_figure(&self) -> bool {
        self.text.contains(['─', '►'])
    }

    /// Document and line, for a message.
    pub fn place(&self) -> String {
        format!("{}:{}", self.document.display(), self.line)
    }
}

/// Commands that a test cannot run: how a command begins, why, and which file of the repository covers it instead.
pub const NOT_RUN: [(&str, &str, &str); 15] = [
    ("./quickstart", "builds the project and starts Kafka on the fixed port 9092", "quickstart"),
    ("cargo ", "builds and tests the project, which runs this test", ".ci/run"),
    ("SEED=", "the same", ".ci/run"),
    ("TEST_SIZE=", "the same, for many minutes", ".ci/run"),
    ("bash .ci/run", "the same", ".ci/run"),
    ("fuzz/run ", "needs a nightly compiler", "fuzz/run"),
    ("./bench", "measures for minutes", "bench"),
    ("scripts/soak", "loads the machine for minutes", "scripts/soak"),
    ("kafka-acls.sh ", "needs a broker with an authorizer", "kafka/tests/client/security.rs"),
    ("docker ", "needs a Docker daemon", ".ci/delivery/image"),
    ("-v ", "arguments of docker run", ".ci/delivery/image"),
    ("usermod ", "changes the users of the machine", "tests/service/files.rs"),
    ("install -d -o enterprise-consumer ", "needs a user of the machine", "tests/service/files.rs"),
    ("FILE_MODE=0640 ", "the same", "tests/service/files.rs"),
    ("DATABASE_URL=sqlite:////var/lib/", "needs the service installed under systemd", ".ci/delivery/unit"),
];

/// The entry of [`NOT_RUN`] that a command is under.
pub fn not_run(command: &str) -> Option<usize> {
    NOT_RUN.iter().position(|(beginning, ..)| command.trim_start().starts_with(beginning))
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All blocks of all documents, by the path of the document.
pub fn all() -> Vec<Block> {
    let mut documents: Vec<PathBuf> = Vec::new();
    let mut folders = vec![repository().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
            let is_generated = ["target", "data", "logs"].iter().any(|name| path == repository().join(name));
            if path.is_dir() && !path.is_symlink() && !is_hidden && !is_generated {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
        }
    }
    documents.sort();
    documents.iter().flat_map(|path| of_document(path)).collect()
}

fn of_document(path: &Path) -> Vec<Block> {
    let text = fs::read_to_string(path).unwrap();
    let document = path.strip_prefix(repository()).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, content) in (1..).zip(text.lines()) {
        let fence = content.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(info)) => {
                let language = info.split_whitespace().next().unwrap_or_default().to_owned();
                open = Some(Block { document: document.to_owned(), line, language, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.extend([content, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{} ends within a block", document.display());
    blocks
}

/// The commands of a shell block: lines, those that end in a backslash together with the next one.
pub fn commands(text: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut is_continued = false;
    for line in text.lines() {
        match commands.last_mut() {
            Some(command) if is_continued => command.extend(["\n", line]),
            _ => commands.push(line.to_owned()),
        }
        is_continued = line.ends_with('\\');
    }
    commands
}
