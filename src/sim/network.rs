//! The simulated network: messages to objects and back, late, lost, repeated or of another version; the colos'
//! caches; calls to the origin.

use super::{
    event::{EffectEnd, WorldEvent},
    object::{Applied, MessageTicket, rot},
    origin::{OriginCall, Question},
    world::World,
};
use crate::{
    core::{time::Span, xfetch::Draw},
    isolate::step::ObjectError,
    protocol::{
        message::{self, Answer, Message},
        object::Incoming,
    },
};

impl World {
    /// Sends a message to a key's object, with all that may happen to it on the way.
    pub(super) fn send(&mut self, key: usize, from: MessageTicket, mut bytes: Vec<u8>) {
        self.report.messages += 1;
        if self.now < self.unreachable_until || self.fault(|it| it.loss) {
            return self.lose(from);
        }
        if self.fault(|it| it.refusal) {
            // As code of another version would write it.
            bytes[0] = bytes[0].wrapping_add(1);
        }
        if self.fault(|it| it.duplication) {
            let after = self.delay();
            self.schedule(after, WorldEvent::Deliver { key, from, bytes: bytes.clone() });
        }
        let after = self.delay();
        self.schedule(after, WorldEvent::Deliver { key, from, bytes });
    }

    /// Loses a message or a reply: the sender gets an error at once, or only reaches its time limit.
    fn lose(&mut self, from: MessageTicket) {
        let error = match self.rng.below(4) {
            0 => return,
            1 => ObjectError::Retryable,
            2 => ObjectError::Overloaded,
            _ => ObjectError::Broken,
        };
        self.schedule(Span(1), WorldEvent::Task(from, EffectEnd::Lost(error)));
    }

    fn delay(&mut self) -> Span {
        let late = self.fault(|it| it.delay);
        let most = self.scenario.faults.max_delay.0;
        let extra = if late { self.rng.below(most) } else { 0 };
        self.scenario.object_delay.plus(Span(extra))
    }

    /// A message arrives at its object.
    pub(super) fn on_delivery(&mut self, key: usize, from: MessageTicket, bytes: &[u8]) {
        let now = self.objects.clock.read(self.now);
        let spread = Draw::from_bits(self.rng.bits());
        let object = &mut self.objects.all[key];
        let incoming = Incoming { from, bytes, now, spread };
        let outputs = object.object.on(object.state.as_deref(), incoming);
        let applied = object.apply(outputs);
        let own = applied.replies.iter().find(|(to, _)| *to == from);
        let told = own.and_then(|(_, bytes)| message::decode_reply(bytes)).map(|(reply, _)| reply);
        if let (Some((message, _)), Some(reply)) = (message::decode_message(bytes), told) {
            let at = self.elapsed();
            self.invariants.told(at, key, &message, &reply.answer, now);
            self.invariants.floor(key, reply.floor);
            if let (Message::Commit { token, .. }, Answer::Committed) = (message, reply.answer) {
                self.cycle_ends(key, token);
                if self.fault(|it| it.unreadable) {
                    self.objects.all[key].rot(&mut self.rng);
                }
            }
        }
        self.send_back(key, applied);
    }

    /// The longest sleep of a message is over.
    pub(super) fn on_sleep_end(&mut self, key: usize, from: MessageTicket) {
        let object = &mut self.objects.all[key];
        if object.sleeps(from) {
            let output = object.object.sleep_ended(object.state.as_deref(), from);
            let applied = object.apply(vec![output]);
            self.send_back(key, applied);
        }
    }

    fn send_back(&mut self, key: usize, applied: Applied) {
        if let Some((from, at_most)) = applied.sleep {
            self.schedule(at_most, WorldEvent::SleepEnds { key, from });
        }
        for (to, mut bytes) in applied.replies {
            if self.fault(|it| it.loss) {
                self.lose(to);
                continue;
            }
            if self.fault(|it| it.refusal) {
                bytes[0] = bytes[0].wrapping_add(1);
            }
            let after = self.delay();
            self.schedule(after, WorldEvent::Task(to, EffectEnd::Reply(bytes)));
        }
    }

    /// The record of a key in a colo's cache. Faults may delete or corrupt it.
    pub(super) fn read_colo(&mut self, isolate: usize, key: usize) -> Option<Vec<u8>> {
        let (is_lost, is_rotten) = (self.fault(|it| it.cache_loss), self.fault(|it| it.unreadable));
        let cache = &mut self.colos[self.isolates[isolate].colo].cache;
        if is_lost {
            cache.remove(&key);
        }
        let bytes = cache.get_mut(&key)?;
        if is_rotten {
            rot(bytes, &mut self.rng);
        }
        Some(bytes.clone())
    }

    /// A call to the origin begins; it ends even if no request waits for it any more.
    pub(super) fn call_origin(&mut self, question: &Question<'_>) -> OriginCall {
        let key = question.key;
        let call = self.origin.call(&self.scenario, question, self.now, self.elapsed());
        self.schedule(call.takes, WorldEvent::OriginEnds { key });
        let (at, in_flight) = (self.elapsed(), self.origin.under_way[key]);
        self.report.second(at).calls += 1;
        self.report.most_in_flight = self.report.most_in_flight.max(in_flight);
        call
    }
}
