//! HTML that is escaped by type: markup is text of this program's source, everything else is text that the browser shows.
//! Must not know what is shown.

use std::fmt::{self, Display, Write};

use kafka::text::Escaped;

/// HTML so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, for an element or for the value of an attribute in double quotes. Unprintable characters are shown as in a
    /// Rust literal.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        self.escape(&text);
        self
    }

    /// Adds an element of text; `start` is its start tag without brackets.
    pub(super) fn element(&mut self, start: &'static str, text: impl Display) -> &mut Self {
        let name = start.split(' ').next().unwrap_or_default();
        self.markup("<").markup(start).markup(">");
        self.escape(&text);
        self.markup("</").markup(name).markup(">")
    }

    /// Adds an attribute to a start tag that is not yet complete.
    pub(super) fn attribute(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.markup(" ").markup(name).markup("=\"");
        self.escape(&value);
        self.markup("\"")
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn escape(&mut self, text: &dyn Display) {
        // Writing to a string cannot fail.
        let _ = write!(Entities(&mut self.0), "{}", Escaped(text));
    }
}

/// Replaces the characters that begin or end markup
/// ([HTML, 13.1.2.4](https://html.spec.whatwg.org/multipage/syntax.html#syntax-attribute-value)).
struct Entities<'a>(&'a mut String);

impl Write for Entities<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let mut html = Html::default();
        let hostile = "</p><script>alert('1' & \"2\")</script>\n\u{202e}\0";
        html.markup("<p")
            .attribute("title", hostile)
            .markup(">")
            .text(hostile)
            .markup("</p>")
            .element("b class=\"x\"", 5);
        let escaped = "&lt;/p&gt;&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;\\n\\u{202e}\\u{0}";
        assert_eq!(html.into_string(), format!("<p title=\"{escaped}\">{escaped}</p><b class=\"x\">5</b>"));
    }
}
