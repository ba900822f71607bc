//! Reads a file that holds a token or a secret alone. No error has a byte of the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::secret::Secret;

/// The largest content, in bytes, without the line end: that of a token.
const BYTES_MAX: usize = 64 * 1024;

/// The content without the line end at its end; not empty. The error names the file.
pub(crate) fn read(path: &Path) -> Result<Secret, String> {
    let failed = |why: &dyn std::fmt::Display| format!("'{}': {why}", path.display());
    let limit = u64::try_from(BYTES_MAX + "\r\n".len() + 1).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.len() {
        0 => Err(failed(&"it is empty")),
        1..=BYTES_MAX => Ok(Secret::new(text)),
        _ => Err(failed(&"it has more than 64 KiB")),
    }
}
