//! Reads `multipart/form-data` (RFC 7578) as it comes in.
//!
//! Why not the parser that axum brings: it keeps a part's head in memory however long it grows, once the limit on the
//! whole body is lifted, which an upload needs; it loses file names that are not UTF-8, so that nobody can say what was
//! wrong with them; and after an error it does not give the rest of the body back to be read away.
//!
//! Memory: one frame of the body and at most [`FRAMING_BYTES`].

use std::error::Error as _;
use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt;
use memchr::memmem::{self, Finder};

/// Bytes that a form may hold beside the content of its file: heads of parts, other fields, what stands around.
pub const FRAMING_BYTES: usize = 64 << 10;
/// The longest boundary that RFC 2046 allows.
const BOUNDARY_BYTES: usize = 70;

/// Why a form cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// The request is no such form.
    #[error("the request is no form of type multipart/form-data with a boundary")]
    NotAForm,
    /// It breaks off.
    #[error("the form ends before its last boundary")]
    Cut,
    /// It breaks the rules.
    #[error("the form has {0}")]
    Malformed(&'static str),
    /// Too much beside the file.
    #[error("the form holds more than {FRAMING_BYTES} bytes beside the file")]
    Long,
    /// The peer keeps silent.
    #[error("{0}")]
    Stalled(io::Error),
    /// The body cannot be read: mostly, the peer is gone.
    #[error("cannot read the form: {0}")]
    Body(axum::Error),
}

/// A part's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The field that it is for.
    pub field: String,
    /// The name of the file as the peer sent it, in whatever encoding. None if the part is no file.
    pub file_name: Option<Vec<u8>>,
}

/// A form that comes in.
pub struct Form {
    body: BodyDataStream,
    /// What begins a boundary: a line's end, two dashes and the name of the boundary.
    delimiter: Finder<'static>,
    /// What has come in and is not used yet.
    rest: Bytes,
    /// Of [`FRAMING_BYTES`], what is left.
    framing: usize,
    at: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Within a part, or in what stands before the first.
    Content,
    /// Right behind a boundary's name.
    Boundary,
    /// Behind the last boundary.
    End,
}

impl Form {
    /// Looks at the head of a request and takes its body.
    ///
    /// # Errors
    /// [`FormError::NotAForm`].
    pub fn new(headers: &HeaderMap, body: Body) -> Result<Self, FormError> {
        let content_type = headers.get(CONTENT_TYPE).ok_or(FormError::NotAForm)?.as_bytes();
        let (kind, parameters) = split(content_type);
        let boundary = parameters.into_iter().find(|(key, _)| key == b"boundary").map(|(_, value)| value);
        let boundary = boundary.filter(|name| (1..=BOUNDARY_BYTES).contains(&name.len())).ok_or(FormError::NotAForm)?;
        if kind != b"multipart/form-data" {
            return Err(FormError::NotAForm);
        }
        Ok(Self {
            body: body.into_data_stream(),
            delimiter: Finder::new(&[b"\r\n--", &*boundary].concat()).into_owned(),
            // The first boundary may stand at the very beginning, with no line's end before it.
            rest: Bytes::from_static(b"\r\n"),
            framing: FRAMING_BYTES,
            at: Place::Content,
        })
    }

    /// Goes on to the next part, past what is left of this one. None at the end of the form, which is complete then.
    ///
    /// # Errors
    /// The form cannot be read, or is too long beside its file.
    pub async fn next_part(&mut self) -> Result<Option<Part>, FormError> {
        while let Some(passed) = self.chunk().await? {
            self.spend(passed.len())?;
        }
        if self.at == Place::Boundary {
            self.fill(2).await?;
            if self.rest.starts_with(b"--") {
                self.at = Place::End;
            }
        }
        if self.at == Place::End {
            return self.pass_the_end().await.map(|()| None);
        }
        let padding = self.until(b"\r\n").await?;
        if padding.iter().any(|b| !matches!(b, b' ' | b'\t')) {
            return Err(FormError::Malformed("something behind a boundary"));
        }
        // The line's end of the boundary stays, so that a head without a line ends as others do.
        let head = self.until(b"\r\n\r\n").await?;
        self.take(4);
        self.at = Place::Content;
        part(&head).map(Some)
    }

    /// The next bytes of this part. None at its end.
    ///
    /// # Errors
    /// The form cannot be read.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FormError> {
        while self.at == Place::Content {
            let delimiter = self.delimiter.needle().len();
            match self.delimiter.find(&self.rest) {
                Some(0) => {
                    self.take(delimiter);
                    self.at = Place::Boundary;
                }
                Some(end) => return Ok(Some(self.take(end))),
                None => {
                    let safe = self.rest.len() - beginning(&self.rest, self.delimiter.needle());
                    if safe > 0 {
                        return Ok(Some(self.take(safe)));
                    }
                    self.receive().await?;
                }
            }
        }
        Ok(None)
    }

    /// Reads away what the peer still sends, for so long, so that it comes to read the answer: a connection that is
    /// closed over unread bytes takes the answer along.
    pub async fn linger(mut self, at_most: Duration) {
        let read_away = async { while let Some(Ok(_)) = self.body.next().await {} };
        // However it ends, nobody waits for it.
        let _ = tokio::time::timeout(at_most, read_away).await;
    }

    /// Up to a mark, which stays in the rest.
    async fn until(&mut self, mark: &[u8]) -> Result<Bytes, FormError> {
        loop {
            if let Some(end) = memmem::find(&self.rest, mark) {
                self.spend(end)?;
                return Ok(self.take(end));
            }
            if self.rest.len() > self.framing {
                return Err(FormError::Long);
            }
            self.receive().await?;
        }
    }

    async fn pass_the_end(&mut self) -> Result<(), FormError> {
        loop {
            let passed = std::mem::take(&mut self.rest);
            self.spend(passed.len())?;
            match self.receive().await {
                Ok(()) => {}
                Err(FormError::Cut) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn fill(&mut self, bytes: usize) -> Result<(), FormError> {
        while self.rest.len() < bytes {
            self.receive().await?;
        }
        Ok(())
    }

    /// Adds one frame of the body to the rest.
    async fn receive(&mut self) -> Result<(), FormError> {
        let frame = match self.body.next().await {
            None => return Err(FormError::Cut),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(unreadable(error)),
        };
        self.rest = if self.rest.is_empty() { frame } else { [&*self.rest, &*frame].concat().into() };
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Bytes {
        self.rest.split_to(bytes.min(self.rest.len()))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), FormError> {
        self.framing = self.framing.checked_sub(bytes).ok_or(FormError::Long)?;
        Ok(())
    }
}

/// Silence and a body over its limit are told apart from a peer that is gone.
fn unreadable(error: axum::Error) -> FormError {
    let mut cause = error.source();
    while let Some(deeper) = cause {
        if let Some(silence) = deeper.downcast_ref::<io::Error>().filter(|e| e.kind() == io::ErrorKind::TimedOut) {
            return FormError::Stalled(io::Error::new(silence.kind(), silence.to_string()));
        }
        cause = deeper.source();
    }
    FormError::Body(error)
}

/// How many bytes at the end of `text` are a beginning of `mark`.
fn beginning(text: &[u8], mark: &[u8]) -> usize {
    let most = text.len().min(mark.len().saturating_sub(1));
    (1..=most).rev().find(|&length| mark.get(..length).is_some_and(|start| text.ends_with(start))).unwrap_or(0)
}

/// Reads a part's head: lines, each of which begins with a line's end.
fn part(head: &[u8]) -> Result<Part, FormError> {
    let missing = FormError::Malformed("a part without a Content-Disposition that names its field");
    let disposition = head.split(|&b| b == b'\n').find_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|&b| b == b':')?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        name.trim_ascii().eq_ignore_ascii_case(b"content-disposition").then_some(value)
    });
    let (mut field, mut file_name) = (None, None);
    let (kind, parameters) = split(disposition.unwrap_or_default());
    for (key, value) in parameters {
        match key.as_slice() {
            b"name" => field = Some(String::from_utf8_lossy(&value).into_owned()),
            b"filename" => file_name = Some(value),
            _ => {}
        }
    }
    match field {
        Some(field) if kind == b"form-data" => Ok(Part { field, file_name }),
        _ => Err(missing),
    }
}

/// Key and value.
type Parameter = (Vec<u8>, Vec<u8>);

/// Splits `KIND; KEY=VALUE; KEY="VALUE"`; kind and keys in small letters.
///
/// Within quotes `\"` is a quotation mark and `\\` a backslash; a backslash before anything else is itself, as there
/// are browsers that send paths of Windows as they are.
fn split(value: &[u8]) -> (Vec<u8>, Vec<Parameter>) {
    let mut pieces: Vec<(Vec<u8>, Option<Vec<u8>>)> = vec![(Vec::new(), None)];
    let mut quoted = false;
    let mut bytes = value.iter().copied().peekable();
    while let Some(mut byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                continue;
            }
            b'\\' if quoted => {
                if let Some(escaped) = bytes.next_if(|next| matches!(next, b'"' | b'\\')) {
                    byte = escaped;
                }
            }
            b';' if !quoted => {
                pieces.push((Vec::new(), None));
                continue;
            }
            b' ' | b'\t' if !quoted => continue,
            _ => {}
        }
        match pieces.last_mut() {
            Some((_, value @ None)) if byte == b'=' && !quoted => *value = Some(Vec::new()),
            Some((_, Some(value))) => value.push(byte),
            Some((key, None)) => key.push(byte.to_ascii_lowercase()),
            None => {}
        }
    }
    let mut pieces = pieces.into_iter();
    let kind = pieces.next().map(|(kind, _)| kind).unwrap_or_default();
    (kind, pieces.filter_map(|(key, value)| Some((key, value?))).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All parts with their contents, of a body that comes in pieces of this many bytes.
    async fn parts(body: &[u8], piece: usize) -> Result<Vec<(Part, Vec<u8>)>, FormError> {
        let pieces: Vec<_> =
            body.chunks(piece.max(1)).map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece))).collect();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "Multipart/Form-Data; boundary=\"XyZ\"".parse().unwrap());
        let mut form = Form::new(&headers, Body::from_stream(futures_util::stream::iter(pieces)))?;
        let mut found = Vec::new();
        while let Some(part) = form.next_part().await? {
            let mut content = Vec::new();
            while let Some(chunk) = form.chunk().await? {
                content.extend(chunk);
            }
            found.push((part, content));
        }
        Ok(found)
    }

    fn read(body: &[u8], piece: usize) -> Result<Vec<(Part, Vec<u8>)>, FormError> {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(parts(body, piece))
    }

    #[track_caller]
    fn check(body: &str, want: &[(&str, Option<&str>, &str)]) {
        for piece in [1, 2, 3, 7, 4096] {
            let got = read(body.as_bytes(), piece).unwrap();
            let got: Vec<_> = got
                .iter()
                .map(|(part, content)| {
                    let file_name = part.file_name.as_deref().map(|name| std::str::from_utf8(name).unwrap());
                    (part.field.as_str(), file_name, std::str::from_utf8(content).unwrap())
                })
                .collect();
            assert_eq!(got, want, "in pieces of {piece}");
        }
    }

    #[track_caller]
    fn refused(body: impl AsRef<[u8]>, want: &str) {
        for piece in [1, 5, 100_000] {
            let got = read(body.as_ref(), piece).unwrap_err().to_string();
            assert_eq!(got, want, "in pieces of {piece}");
        }
    }

    #[test]
    fn parts_are_read_however_they_are_cut() {
        check("--XyZ--\r\n", &[]);
        check(
            "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
             one\r\n--Xy\r\n--XyQ\r\n\r\n--XyZ--\r\n",
            &[("file", Some("a.txt"), "one\r\n--Xy\r\n--XyQ\r\n")],
        );
        check(
            "before\r\n--XyZ \t\r\ncontent-disposition:form-data;name=a\r\n\r\n\r\n\
             --XyZ\r\nX: y\r\nContent-Disposition: form-data; filename=\"q\\\"u;o\\te\\\\\"; name=\"b\"\r\n\r\n1\r\n--XyZ--after",
            &[("a", None, ""), ("b", Some("q\"u;o\\te\\"), "1")],
        );
    }

    #[test]
    fn what_is_wrong_with_a_form_is_told() {
        let head = "--XyZ\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
        refused("", "the form ends before its last boundary");
        refused("--XyZ", "the form ends before its last boundary");
        refused(format!("{head}abc"), "the form ends before its last boundary");
        refused(format!("{head}abc\r\n--XyZ"), "the form ends before its last boundary");
        refused("--XyZ!\r\n\r\n", "the form has something behind a boundary");
        let nameless = "the form has a part without a Content-Disposition that names its field";
        refused("--XyZ\r\n\r\nabc\r\n--XyZ--", nameless);
        refused("--XyZ\r\nContent-Disposition: attachment; name=\"file\"\r\n\r\nabc\r\n--XyZ--", nameless);
        let long = "the form holds more than 65536 bytes beside the file";
        refused("x".repeat(70_000), long);
        refused(format!("--XyZ\r\nX: {}", "x".repeat(70_000)), long);
        refused(format!("--XyZ--{}", "x".repeat(70_000)), long);
    }

    #[test]
    fn a_file_name_keeps_its_bytes() {
        let body = b"--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"caf\xe9\0\"\r\n\r\n\r\n--XyZ--";
        let got = read(body, 3).unwrap();
        assert_eq!(got[0].0.file_name.as_deref(), Some(&b"caf\xe9\0"[..]));
    }

    proptest! {
        #[test]
        fn any_content_comes_back_in_any_pieces(
            contents in proptest::collection::vec(proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), Just(b'y'), any::<u8>()], 0..200), 0..4),
            piece in 1..64_usize,
        ) {
            let mut body = Vec::new();
            for content in &contents {
                body.extend(b"--XyZ\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n");
                body.extend(content);
                body.extend(b"\r\n");
            }
            body.extend(b"--XyZ--\r\n");
            let got = read(&body, piece).unwrap();
            prop_assert_eq!(got.into_iter().map(|(_, content)| content).collect::<Vec<_>>(), contents);
        }
    }
}
