//! What can happen in the simulated world.

use super::{object::Ticket, origin::OriginCall};
use crate::{
    core::{purge::Floor, time::Instant},
    isolate::{
        coalesce,
        step::{ObjectError, Shared},
    },
    protocol::message,
};

/// A request of the traffic, on its way to its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    /// Whether its isolate's memory held something servable then, and the purge floor that it had heard.
    pub(super) is_warm: bool,
    pub(super) floor: Floor,
}

/// Something that ends an effect of a task, or fails to.
#[derive(Clone, Debug)]
pub(super) enum Report {
    /// The lookup in the colo's cache ends now.
    Colo,
    /// The write into the colo's cache ends now.
    Write(Vec<u8>),
    /// A reply of the object.
    Reply(Vec<u8>),
    /// There is no reply.
    Lost(ObjectError),
    /// The origin call ends now.
    Origin(OriginCall),
    /// The sleep has lasted as long as it was to.
    TimedOut,
}

/// An event of the world.
#[derive(Clone, Debug)]
pub(super) enum What {
    Arrival,
    Burst,
    /// Reports to the step of a task that this ticket names.
    Task(Ticket, Report),
    /// Wakes a wait in the isolate of this place and name.
    Wake {
        isolate: usize,
        name: u64,
        ticket: coalesce::Ticket,
        shared: Shared,
    },
    /// A message arrives at a key's object.
    Deliver {
        key: usize,
        from: Ticket,
        bytes: Vec<u8>,
    },
    /// The longest sleep of a message at an object is over.
    SleepEnds {
        key: usize,
        from: Ticket,
    },
    OriginEnds {
        key: usize,
    },
    /// A computation of a baseline strategy ends.
    Baseline {
        colo: usize,
        key: usize,
        call: OriginCall,
        waits: Option<Arrival>,
    },
    Fault(Fault),
}

/// A fault that comes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Some clock steps.
    Step,
    /// Some isolate restarts.
    Restart,
    /// Some object is evicted.
    Evict,
    /// Some object's alarm fires.
    Alarm,
    /// The objects' clock leaps by days.
    Leap,
    /// Some key is purged.
    Purge,
    /// No object can be reached for a while.
    Unreachable,
    /// From now on nothing goes wrong any more.
    End,
}

impl Fault {
    /// Those that come back, each at its own distance.
    pub(super) const RECURRING: [Self; 7] =
        [Self::Step, Self::Restart, Self::Evict, Self::Purge, Self::Unreachable, Self::Alarm, Self::Leap];
}

impl What {
    /// The event as a line of a transcript: messages and replies in words, stored bytes by their length.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Deliver { key, from, bytes } => match message::decode_message(bytes) {
                Some((message, _)) => format!("message {from} to key {key}: {message:?}"),
                None => format!("message {from} to key {key}, of another version"),
            },
            Self::Task(ticket, Report::Reply(bytes)) => match message::decode_reply(bytes) {
                Some((reply, _)) => format!("reply {ticket}: {:?}, floor {:?}", reply.answer, reply.floor),
                None => format!("reply {ticket}, of another version"),
            },
            Self::Task(ticket, Report::Write(bytes)) => format!("colo write {ticket}: {} bytes", bytes.len()),
            other => format!("{other:?}"),
        }
    }
}
