//! The labels of a sample of a page, taken apart again.

/// The names and escaped values in `a="b",c="d"`, as a page keeps them. A comma at the beginning or end does not
/// matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelPairs<'a> {
    rest: &'a str,
}

impl<'a> LabelPairs<'a> {
    pub(crate) fn new(labels: &'a str) -> Self {
        Self { rest: labels }
    }

    /// Without the label of this name: what comes before it, its escaped value, what comes after it. Before and after,
    /// one behind the other, are labels again.
    pub(crate) fn cut(mut self, wanted: &str) -> Option<(&'a str, &'a str, &'a str)> {
        let labels = self.rest;
        loop {
            let at = labels.len() - self.rest.len();
            let (name, value) = self.next()?;
            if name == wanted {
                let before = labels.get(..at)?;
                let after = if before.is_empty() { self.rest.trim_start_matches(',') } else { self.rest };
                return Some((before, value, after));
            }
        }
    }
}

impl<'a> Iterator for LabelPairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let (name, quoted) = self.rest.trim_start_matches(',').split_once("=\"")?;
        let mut from = 0;
        loop {
            let at = from + memchr::memchr2(b'"', b'\\', quoted.as_bytes().get(from..)?)?;
            if quoted.as_bytes().get(at) == Some(&b'"') {
                self.rest = quoted.get(at + 1..)?;
                return Some((name, quoted.get(..at)?));
            }
            // A backslash and what it escapes.
            from = at + 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_commas_and_backslashes_are_part_of_values() {
        let labels = r#"a="x,y=\"z\"",b="\\",c="",d="é\n""#;
        let pairs: Vec<_> = LabelPairs::new(labels).collect();
        assert_eq!(pairs, [("a", r#"x,y=\"z\""#), ("b", r"\\"), ("c", ""), ("d", r"é\n")]);
        assert_eq!(LabelPairs::new("").next(), None);
    }

    #[test]
    fn one_label_is_cut_out() {
        let cut = |labels| LabelPairs::new(labels).cut("le");
        assert_eq!(cut(r#"le="1""#), Some(("", "1", "")));
        assert_eq!(cut(r#"le="1",z="2""#), Some(("", "1", r#"z="2""#)));
        assert_eq!(cut(r#"a="le=\"5\"",le="1",z="2""#), Some((r#"a="le=\"5\"""#, "1", r#",z="2""#)));
        assert_eq!(cut(r#"a="2",le="1""#), Some((r#"a="2""#, "1", "")));
        assert_eq!(cut(r#"file="1""#), None);
    }
}
