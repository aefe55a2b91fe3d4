//! Pages: HTML with places to fill, and the files beside it.

use axum::response::Response;
use axum::routing::{MethodRouter, get};
use services_kit as kit;

/// HTML with places `{{name}}`.
#[derive(Clone, Copy, Debug)]
pub struct Template(pub &'static str);

impl Template {
    /// The HTML with each place filled with the text of its name, escaped. A place without a text stays empty.
    #[must_use]
    pub fn fill(self, texts: &[(&str, &str)]) -> String {
        let mut page = String::with_capacity(self.0.len() + 512);
        let mut rest = self.0;
        while let Some((before, (name, after))) =
            rest.split_once("{{").and_then(|(before, after)| Some((before, after.split_once("}}")?)))
        {
            page.push_str(before);
            if let Some((_, text)) = texts.iter().find(|(known, _)| *known == name) {
                escape(text, &mut page);
            }
            rest = after;
        }
        page.push_str(rest);
        page
    }
}

/// Writes a text so that it is only text, between tags and within a quoted attribute.
fn escape(text: &str, page: &mut String) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

/// A page.
#[must_use]
pub fn html(page: String) -> Response {
    kit::http::asset("text/html; charset=utf-8", page)
}

/// A file that is built into the program, at a route of its own.
pub fn file<S: Clone + Send + Sync + 'static>(content_type: &'static str, text: &'static str) -> MethodRouter<S> {
    get(move || async move { kit::http::asset(content_type, text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &'static str, want: &str) {
        assert_eq!(Template(template).fill(&[("a", "x"), ("b", "<i title=\"'\">&")]), want);
    }

    #[test]
    fn places_are_filled_with_text_and_never_with_tags() {
        check("", "");
        check("no place { } }}", "no place { } }}");
        check("{{a}}-{{a}}", "x-x");
        check("<p>{{b}}</p>", "<p>&lt;i title=&quot;&#39;&quot;&gt;&amp;</p>");
        check("{{unknown}}.", ".");
        check("{{a}} {{a", "x {{a");
    }

    #[test]
    fn a_text_is_not_a_template() {
        assert_eq!(Template("{{a}}{{b}}").fill(&[("a", "{{b}}"), ("b", "y")]), "{{b}}y");
    }
}
