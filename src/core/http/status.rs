//! What an origin's status means for a cached route.

use crate::core::{
    failure::{Failure, Reason},
    time::Span,
};

/// What an origin's status means for a cached route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its body may be an answer.
    Success,
    /// Its body is the origin's refusal of this request.
    Refusal,
    /// The computation failed.
    Failure(Failure),
}

/// Sorts an origin's status.
#[must_use]
pub fn status(status: u16, retry_after: Option<Span>) -> Status {
    let reason = match status {
        204 | 205 | 206 | 304 => Reason::OriginUnexpectedStatus,
        200..300 => return Status::Success,
        300..400 => Reason::OriginRedirect,
        401 | 403 | 407 => Reason::OriginUnauthorized,
        408 | 425 | 429 => Reason::OriginBusy,
        400..500 => return Status::Refusal,
        500..600 => Reason::OriginError,
        _ => Reason::OriginUnexpectedStatus,
    };
    Status::Failure(Failure::Transient { reason, retry_after })
}

/// The same for a route whose origin says what becomes of its answers: any final status may be an answer, but for a 304
/// to a request without conditions.
#[must_use]
pub fn status_of_origin(status: u16, is_validation: bool) -> Status {
    match status {
        304 if !is_validation => unexpected(),
        200..600 => Status::Success,
        _ => unexpected(),
    }
}

fn unexpected() -> Status {
    Status::Failure(Failure::Transient { reason: Reason::OriginUnexpectedStatus, retry_after: None })
}

/// Whether an answer with this status to `GET` or `POST` has a body.
#[must_use]
pub fn has_body(status: u16) -> bool {
    !matches!(status, 101 | 204 | 205 | 304)
}
