//! The inputs of a target, as files. Must not mutate them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Recorded inputs, and inputs that failed before.
pub(crate) struct Corpus {
    directory: PathBuf,
    inputs: Vec<Vec<u8>>,
    sound: Vec<bool>,
}

impl Corpus {
    pub(crate) fn of(target: &str) -> Self {
        let directory = root().join("fuzz/corpus").join(target);
        let (sound, inputs): (Vec<_>, Vec<_>) = inputs_in(&directory).unwrap_or_default().into_iter().unzip();
        assert!(!inputs.is_empty(), "'{}' has no inputs to begin with", directory.display());
        Self { directory, inputs, sound }
    }

    pub(crate) fn inputs(&self) -> &[Vec<u8>] {
        &self.inputs
    }

    /// Whether each input must be accepted, in the same order.
    pub(crate) fn sound(&self) -> &[bool] {
        &self.sound
    }

    /// Saves an input that failed, and returns where.
    pub(crate) fn keep(&self, input: &[u8]) -> String {
        let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let path = self.directory.join(format!("failed-{hash:016x}"));
        match fs::write(&path, input) {
            Ok(()) => format!("it is in '{}', with which the next run begins", path.display()),
            Err(error) => format!("{} (not kept: {error})", input.escape_ascii()),
        }
    }
}

/// The inputs in the order of their names, each with whether it must be accepted.
fn inputs_in(directory: &Path) -> io::Result<Vec<(bool, Vec<u8>)>> {
    let mut names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let read = |name: &OsString| Ok((name.as_encoded_bytes().starts_with(b"sound"), fs::read(directory.join(name))?));
    names.iter().map(read).collect()
}

/// A file with the current input, in case it ends the process.
pub(crate) struct Running {
    path: PathBuf,
    file: Option<File>,
    left: Option<Vec<u8>>,
}

impl Running {
    pub(crate) fn of(target: &str) -> Self {
        let directory = root().join("target/fuzz/running");
        let path = directory.join(target);
        let left = fs::read(&path).ok();
        // The tests work without the file.
        let file = fs::create_dir_all(&directory).and_then(|()| File::create(&path)).ok();
        Self { path, file, left }
    }

    /// The input that ended the last run.
    pub(crate) fn left(&self) -> Option<Vec<u8>> {
        self.left.clone()
    }

    pub(crate) fn begin(&self, input: &[u8]) {
        if let Some(file) = &self.file {
            let _ = file.set_len(0).and_then(|()| file.write_all_at(input, 0));
        }
    }

    pub(crate) fn end(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The root directory of the workspace.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
