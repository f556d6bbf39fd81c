//! The events of the simulated world.

use super::{object::MessageTicket, origin::OriginCall};
use crate::{
    core::{purge::Floor, time::Instant},
    isolate::{
        coalesce,
        step::{ObjectError, Shared},
    },
    protocol::message,
};

/// The arrival of a request that has not been answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    /// Whether its isolate's memory held a servable entry then.
    pub(super) is_warm: bool,
    /// The purge floor that its isolate knew then.
    pub(super) floor: Floor,
    /// How often it has gone on with the key of another variant.
    pub(super) rounds: u64,
}

/// How an effect of a task ends.
#[derive(Clone, Debug)]
pub(super) enum EffectEnd {
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
    /// The sleep has reached its limit.
    TimedOut,
}

/// An event of the world.
#[derive(Clone, Debug)]
pub(super) enum WorldEvent {
    Arrival,
    Burst,
    /// Reports to the step of a task that this ticket names.
    Task(MessageTicket, EffectEnd),
    /// Wakes a wait in the isolate of this place and name.
    Wake {
        isolate: usize,
        name: u64,
        ticket: coalesce::WaitTicket,
        shared: Shared,
    },
    /// A message arrives at a key's object.
    Deliver {
        key: usize,
        from: MessageTicket,
        bytes: Vec<u8>,
    },
    /// The longest sleep of a message at an object is over.
    SleepEnds {
        key: usize,
        from: MessageTicket,
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

/// A fault that happens at a scheduled time, not in the course of an effect.
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
    /// All faults end.
    End,
}

impl Fault {
    /// The faults that recur, each with its own mean interval.
    pub(super) const RECURRING: [Self; 7] =
        [Self::Step, Self::Restart, Self::Evict, Self::Purge, Self::Unreachable, Self::Alarm, Self::Leap];
}

impl WorldEvent {
    /// The event as a line of a transcript: messages and replies in words, stored bytes by their length.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Deliver { key, from, bytes } => match message::decode_message(bytes) {
                Some((message, _)) => format!("message {from} to key {key}: {message:?}"),
                None => format!("message {from} to key {key}, of another version"),
            },
            Self::Task(ticket, EffectEnd::Reply(bytes)) => match message::decode_reply(bytes) {
                Some((reply, _)) => format!("reply {ticket}: {:?}, floor {:?}", reply.answer, reply.floor),
                None => format!("reply {ticket}, of another version"),
            },
            Self::Task(ticket, EffectEnd::Write(bytes)) => {
                format!("colo write {ticket}: {} bytes", bytes.len())
            }
            other => format!("{other:?}"),
        }
    }
}
