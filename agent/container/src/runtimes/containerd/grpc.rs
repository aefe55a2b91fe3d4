//! As much of gRPC as a question, its answer and a stream of messages need, over one HTTP/2 connection to a socket.

use std::marker::PhantomData;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request};
use prost::Message;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;

use super::super::Failure;

/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// No header of an answer is anywhere near.
const LARGEST_HEADERS: u32 = 16 << 10;
/// What may be on its way for one answer, and for all. Events wait while an answer is read: all the room that one may
/// take must leave some for the others.
const ROOM_OF_ONE: u32 = 64 << 10;
const ROOM_OF_ALL: u32 = 1 << 20;

/// A connection; dropping it ends it.
pub(super) struct Channel {
    requests: SendRequest<Bytes>,
    connection: AbortHandle,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Channel {
    pub(super) async fn connect(socket: &Path) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket).await.map_err(|_| Failure::Connect)?;
        let mut builder = h2::client::Builder::new();
        builder.enable_push(false).max_header_list_size(LARGEST_HEADERS);
        builder.initial_window_size(ROOM_OF_ONE).initial_connection_window_size(ROOM_OF_ALL);
        let (requests, connection) = builder.handshake(stream).await.map_err(|error| failure(&error))?;
        // Its error is that of every stream on it too.
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { requests, connection: connection.abort_handle() })
    }

    /// Asks, and reads one answer of at most so many bytes.
    pub(super) async fn ask<A: Message + Default>(
        &mut self,
        method: &str,
        namespace: &str,
        question: &impl Message,
        largest: usize,
    ) -> Result<A, Failure> {
        let mut answers = self.open(method, namespace, question, largest).await?;
        answers.next().await?.ok_or(Failure::Protocol)
    }

    /// Asks, without waiting; the answers come one by one, each of at most so many bytes. An empty namespace is none.
    pub(super) async fn open<A: Message + Default>(
        &mut self,
        method: &str,
        namespace: &str,
        question: &impl Message,
        largest: usize,
    ) -> Result<Answers<A>, Failure> {
        let mut request = Request::post(format!("http://localhost/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if !namespace.is_empty() {
            request = request.header("containerd-namespace", namespace);
        }
        let request = request.body(()).map_err(|_| Failure::Protocol)?;
        std::future::poll_fn(|context| self.requests.poll_ready(context)).await.map_err(|error| failure(&error))?;
        let (answer, mut body) = self.requests.send_request(request, false).map_err(|error| failure(&error))?;
        body.send_data(framed(question), true).map_err(|error| failure(&error))?;
        Ok(Answers { from: From::Head(answer), received: BytesMut::new(), largest, of: PhantomData })
    }
}

/// Answers that come one after the other.
pub(super) struct Answers<A> {
    from: From,
    received: BytesMut,
    largest: usize,
    of: PhantomData<fn() -> A>,
}

/// Where the next bytes are. A server sends the head with its first answer, be that in a year.
enum From {
    Head(ResponseFuture),
    Body(RecvStream),
}

impl<A: Message + Default> Answers<A> {
    /// The next; nothing after the last. May be dropped and called again without a loss.
    pub(super) async fn next(&mut self) -> Result<Option<A>, Failure> {
        loop {
            if let Some(message) = take(&mut self.received, self.largest)? {
                return A::decode(message).map(Some).map_err(|_| Failure::Protocol);
            }
            let body = match &mut self.from {
                From::Body(body) => body,
                From::Head(answer) => {
                    let (head, body) = answer.await.map_err(|error| failure(&error))?.into_parts();
                    if !head.status.is_success() {
                        return Err(Failure::Protocol);
                    }
                    status(&head.headers).unwrap_or(Ok(()))?;
                    self.from = From::Body(body);
                    continue;
                }
            };
            let Some(data) = body.data().await else {
                let trailers = body.trailers().await.map_err(|error| failure(&error))?;
                return self.end(trailers.as_ref());
            };
            let data = data.map_err(|error| failure(&error))?;
            let _ = body.flow_control().release_capacity(data.len());
            self.received.extend_from_slice(&data);
        }
    }

    fn end(&self, trailers: Option<&HeaderMap>) -> Result<Option<A>, Failure> {
        if !self.received.is_empty() {
            return Err(Failure::Protocol);
        }
        // Without its status an answer was cut off.
        trailers.and_then(status).unwrap_or(Err(Failure::Ended))?;
        Ok(None)
    }
}

/// The message in front of what was received, once it is there whole; of at most so many bytes.
pub(super) fn take(received: &mut BytesMut, largest: usize) -> Result<Option<BytesMut>, Failure> {
    let Some((mut prefix, rest)) = received.split_at_checked(PREFIX) else { return Ok(None) };
    let (compressed, length) = (prefix.get_u8(), prefix.get_u32() as usize);
    if length > largest {
        return Err(Failure::Flood);
    }
    // None was asked for.
    if compressed != 0 {
        return Err(Failure::Protocol);
    }
    if rest.len() < length {
        return Ok(None);
    }
    received.advance(PREFIX);
    Ok(Some(received.split_to(length)))
}

fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    bytes.put(message.encode_to_vec().as_slice());
    bytes.freeze()
}

/// The verdict of gRPC, where there is one.
fn status(headers: &HeaderMap) -> Option<Result<(), Failure>> {
    let status = headers.get("grpc-status")?;
    Some(if status == "0" { Ok(()) } else { Err(Failure::Refused) })
}

fn failure(error: &h2::Error) -> Failure {
    // What the library ends by itself is no HTTP/2.
    if error.is_library() { Failure::Protocol } else { Failure::Ended }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use h2::SendStream;
    use tokio::net::UnixListener;
    use tokio::time::timeout;

    use super::super::messages::{Empty, Version};
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn told(length: usize) -> Bytes {
        framed(&Version { version: "x".repeat(length) })
    }

    /// Sends what is told by the path asked for: to `/events` more than anybody reads, to all others one answer.
    async fn serve(listener: UnixListener) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut open: Vec<SendStream<Bytes>> = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            if request.uri().path() == "/events" {
                (0..200).for_each(|_| body.send_data(told(1000), false).unwrap());
                open.push(body);
                continue;
            }
            body.send_data(told(1000), false).unwrap();
            body.send_trailers(HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                http::HeaderValue::from_static("0"),
            )]))
            .unwrap();
        }
    }

    #[tokio::test]
    async fn events_that_wait_do_not_hold_up_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("c.sock");
        let server = tokio::spawn(serve(UnixListener::bind(&socket).unwrap()));
        let mut channel = Channel::connect(&socket).await.unwrap();
        let mut events: Answers<Version> = channel.open("events", "", &Empty {}, 1 << 20).await.unwrap();
        let answer = timeout(SOON, channel.ask::<Version>("answer", "", &Empty {}, 1 << 20)).await;
        assert_eq!(answer.expect("the events have taken all room").unwrap().version.len(), 1000);
        for _ in 0..200 {
            let event = timeout(SOON, events.next()).await.expect("they are lost");
            assert_eq!(event.unwrap().unwrap().version.len(), 1000);
        }
        server.abort();
    }
}
