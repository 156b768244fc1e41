//! An in-memory stream between the world and a guest program.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Default)]
struct State {
    to_guest: VecDeque<u8>,
    from_guest: Vec<u8>,
    /// The world has nothing more to say.
    ended: bool,
    /// The guest has nothing more to say, or is gone.
    closed: bool,
    reader: Option<Waker>,
}

/// The world's end of a stream.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data; a panic of the guest leaves it consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest's end.
    pub(crate) fn guest(&self) -> GuestEnd {
        GuestEnd(self.clone())
    }

    /// Delivers bytes to the guest.
    pub(crate) fn deliver(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.to_guest.extend(bytes);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// Tells the guest that nothing more comes.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// Takes what the guest wrote.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().from_guest)
    }

    /// The guest has closed its end.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

/// The guest's end: a byte stream for tokio.
pub(crate) struct GuestEnd(Pipe);

impl Drop for GuestEnd {
    fn drop(&mut self) {
        self.0.lock().closed = true;
    }
}

impl AsyncRead for GuestEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.to_guest.is_empty() {
            if state.ended {
                return Poll::Ready(Ok(()));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (front, _) = state.to_guest.as_slices();
        let len = front.len().min(buffer.remaining());
        buffer.put_slice(&front[..len]);
        state.to_guest.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for GuestEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        state.from_guest.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().closed = true;
        Poll::Ready(Ok(()))
    }
}
