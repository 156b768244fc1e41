//! HTTP/1.1 as Jetty 9.4 speaks it: heads, targets, answers.

pub(crate) mod answer;
pub(crate) mod head;
pub(crate) mod target;

/// A request that is answered with a bare page, and the connection's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }

    pub(crate) fn bad_request() -> Self {
        Self::new(400, "Bad Request")
    }
}
