//! What others say, made fit for an error. Knows nothing of who says it.

/// As much of it as an error shows, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// The beginning of a text, on one line.
pub(crate) fn shorten(text: &str) -> String {
    let mut shown: String =
        text.chars().take(SHOWN_CHARS_MAX).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
