//! The made-up network: messages to objects and back, late, lost or twice, and calls to the origin.

use std::sync::Arc;

use super::{
    object::{Delivered, Ticket, Told},
    origin::Call,
    world::{Happened, Loss, What, World},
};
use crate::{
    core::{entry::Entry, time::Span, xfetch::Draw},
    protocol::message::{Answer, Message},
};

impl World {
    /// Sends a message to a key's object, with all that may happen to it on the way.
    pub(super) fn send(&mut self, key: usize, from: Ticket, message: Message, entry: Option<Arc<Entry>>) {
        self.figures.messages += 1;
        if self.now < self.unreachable_until || self.fault(|it| it.loss) {
            return self.lose(from);
        }
        if self.fault(|it| it.duplication) {
            let again = What::Deliver { key, from, message: message.clone(), entry: entry.clone() };
            let after = self.way();
            self.schedule(after, again);
        }
        let after = self.way();
        self.schedule(after, What::Deliver { key, from, message, entry });
    }

    /// What was lost shows at once, or by its time-out only.
    pub(super) fn lose(&mut self, from: Ticket) {
        let loss = [Loss::Slow, Loss::Retryable, Loss::Overloaded, Loss::Broken];
        match loss[self.chance.below(4) as usize] {
            Loss::Slow => {}
            loss => self.schedule(Span(1), What::Task(from, Happened::Lost(loss))),
        }
    }

    pub(super) fn way(&mut self) -> Span {
        let late = self.fault(|it| it.delay);
        let most = self.scenario.faults.delay_most.0;
        let extra = if late { self.chance.below(most) } else { 0 };
        self.scenario.object_delay.plus(Span(extra))
    }

    pub(super) fn deliver(&mut self, key: usize, from: Ticket, message: &Message, entry: Option<Arc<Entry>>) {
        if self.fault(|it| it.refusal) {
            let told = self.objects.all[key].refuse(from);
            return self.answer_back(told);
        }
        let now = self.objects.clock.read(self.now);
        let spread = Draw::from_bits(self.chance.bits());
        let at = self.elapsed();
        let delivered = self.objects.all[key].deliver(from, message.clone(), entry, now, spread);
        match delivered {
            Delivered::Asleep(at_most) => self.schedule(at_most, What::SleepEnds { key, sleeper: from }),
            Delivered::Told(told) => {
                let answer = told[0].reply.answer.clone();
                self.promises.told(at, key, message, &answer, now);
                self.promises.floor(key, told[0].reply.floor);
                if let Message::Commit { token, .. } = message
                    && answer == Answer::Committed
                {
                    self.cycle_ends(key, *token);
                    if self.fault(|it| it.unreadable) {
                        self.objects.all[key].rot();
                    }
                }
                for told in told {
                    self.answer_back(told);
                }
            }
        }
    }

    pub(super) fn answer_back(&mut self, told: Told) {
        if self.fault(|it| it.loss) {
            return self.lose(told.to);
        }
        let after = self.way();
        self.schedule(after, What::Task(told.to, Happened::Replied(told.reply, told.entry)));
    }

    /// A call to the origin begins; it ends whether or not somebody still listens.
    pub(super) fn call_origin(&mut self, key: usize) -> Call {
        let call = self.origin.call(&self.scenario, key, self.now, self.elapsed());
        self.schedule(call.takes, What::OriginEnds { key });
        let (at, in_flight) = (self.elapsed(), self.origin.under_way[key]);
        self.figures.second(at).calls += 1;
        self.figures.most_in_flight = self.figures.most_in_flight.max(in_flight);
        call
    }
}
