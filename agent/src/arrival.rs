//! A deadline for the bodies of requests: the server's own bounds end with their heads.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::map_request;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;

/// Lets each request's body take `time` at most from its first byte that is asked for to its last. Later the reader
/// gets an error, and the connection ends.
pub(crate) fn bound(router: Router, time: Duration) -> Router {
    router.layer(map_request(move |request: Request| {
        std::future::ready(request.map(|body| match body.is_end_stream() {
            true => body,
            false => Body::new(Arriving { body, time, deadline: None }),
        }))
    }))
}

struct Arriving {
    body: Body,
    time: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let time = self.time;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        if deadline.as_mut().poll(context).is_ready() {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the request did not arrive in time");
            return Poll::Ready(Some(Err(error.into())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
