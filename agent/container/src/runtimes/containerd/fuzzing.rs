//! A door for the fuzz target of containerd's messages.

use std::time::Duration;

use bytes::BytesMut;
use prost::Message;

use super::LARGEST_EVENT;
use super::book::{Book, Told};
use super::grpc::take;
use super::messages::{ContainerAnswer, Envelope, TaskList};

/// Reads bytes as the messages of a stream, each of them as all kinds that it may be: lists of containers and tasks,
/// answers about one, events.
pub fn messages(bytes: &[u8]) {
    let mut book = Book::new(Duration::from_secs(600));
    let mut received = BytesMut::from(bytes);
    while let Ok(Some(message)) = take(&mut received, LARGEST_EVENT) {
        if let Ok(event) = Envelope::decode(&*message) {
            book.event(&event);
        }
        let told = |bytes: &[u8]| {
            let container = ContainerAnswer::decode(bytes).ok()?.container?;
            Some(Told::of(container, &["A".to_owned()]))
        };
        if let Some(told) = told(&message) {
            book.answered("k8s.io", told);
        }
        if let (Some(told), Ok(tasks)) = (told(&message), TaskList::decode(&*message)) {
            let task = tasks.tasks.into_iter().next().unwrap_or_default();
            book.list(vec![("k8s.io".to_owned(), told, task)]);
        }
        for (id, described) in book.snapshot().containers {
            assert_eq!(id, described.id);
        }
    }
}
