//! One exchange with the key's object: a message, one retry if the message is harmless to repeat, and the
//! reply with its entry. Memory and the colo's cache get the reply's purge floor before the reply is used.

use std::sync::Arc;

use super::{
    metrics::MetricEvent,
    step::{Effect, Event, ObjectError, ObjectReply, StepContext},
};
use crate::{
    core::{
        entry::Entry,
        time::{Instant, Span},
    },
    protocol::{
        colo_record::ColoRecord,
        entry_format, lease,
        message::{self, Answer, Message, Reply},
    },
};

/// An exchange under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Exchange {
    message: Message,
    /// The entry that a commit carries.
    entry: Option<Arc<Entry>>,
    is_repeated: bool,
    /// The reply, while its purge floor is written to the colo's cache.
    reply: Option<(Reply, Option<Arc<Entry>>)>,
}

/// The state of an exchange after an event.
pub(super) enum Progress {
    /// It continues with this effect.
    Next(Effect),
    /// It has ended with this reply.
    Ended(ObjectReply),
}

impl Exchange {
    pub(super) fn new(message: Message) -> Self {
        Self { message, entry: None, is_repeated: false, reply: None }
    }

    /// The handing in of an entry, whose generation is the token.
    pub(super) fn commit(entry: Arc<Entry>) -> Self {
        let message = Message::Commit { token: entry.generation, age: Span::ZERO, lifetime: entry.lifetime };
        Self { entry: Some(entry), ..Self::new(message) }
    }

    /// Whether it asks for the lease.
    pub(super) fn is_acquire(&self) -> bool {
        matches!(self.message, Message::Acquire { .. })
    }

    /// Sends the message. A reply to `Acquire` is wanted even after the limit: an unused grant would
    /// lock the key for a lease.
    pub(super) fn send(&mut self, now: Instant) -> Effect {
        if let (Message::Commit { age, .. }, Some(entry)) = (&mut self.message, &self.entry) {
            *age = entry.age(now);
        }
        let entry = self.entry.as_deref().map(entry_format::encode).unwrap_or_default();
        Effect::Send {
            bytes: message::encode_message(&self.message, &entry),
            limit: lease::time_limit(&self.message),
            wants_late_reply: self.is_acquire(),
        }
    }

    /// The next step of the exchange.
    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Progress {
        match (event, self.reply.take()) {
            (Event::Object(Ok(bytes)) | Event::LateObject(bytes), None) => self.replied(&bytes, context),
            (Event::Object(Err(error)), None) => {
                // The nonce, or the token, makes the second message the same as the first.
                let may_repeat = matches!(self.message, Message::Acquire { .. } | Message::Commit { .. });
                if error == ObjectError::Retryable && may_repeat && !self.is_repeated {
                    self.is_repeated = true;
                    return Progress::Next(self.send(context.now));
                }
                Progress::Ended(Err(error))
            }
            (Event::Colo(bytes), Some((reply, entry))) => {
                let record = context.record(bytes.as_deref());
                match record.with_floor(reply.floor, context.now) {
                    Some(record) => {
                        self.reply = Some((reply, entry));
                        let lifetime = context.subject.route.lifetime.physical();
                        Progress::Next(Effect::WriteColo { bytes: record.encode(), lifetime })
                    }
                    None => Progress::Ended(Ok((reply, entry))),
                }
            }
            (_, Some(reply)) => Progress::Ended(Ok(reply)),
            (_, None) => Progress::Ended(Err(ObjectError::Broken)),
        }
    }

    fn replied(&mut self, bytes: &[u8], context: &mut StepContext<'_>) -> Progress {
        let Some((reply, beside)) = message::decode_reply(bytes) else {
            return Progress::Ended(Err(ObjectError::Broken));
        };
        let (hash, now) = (context.subject.key.hash, context.now);
        let is_news = context.isolate.hear(hash, reply.floor, now);
        let entry = context.entry_beside(&reply, beside);
        // A purge writes its floor into the colo even if another reply brought it to memory before: that reply's
        // task may be cut off before its own write.
        if is_news || matches!(reply.answer, Answer::Purged) {
            self.reply = Some((reply, entry));
            return Progress::Next(Effect::LookUpColo);
        }
        Progress::Ended(Ok((reply, entry)))
    }
}

impl StepContext<'_> {
    /// The colo's record in these bytes; an unreadable one is counted.
    pub(super) fn record(&mut self, bytes: Option<&[u8]>) -> ColoRecord {
        let Some(bytes) = bytes else { return ColoRecord::default() };
        let (record, unreadable) = ColoRecord::decode(bytes, &self.subject.key.text, self.now);
        if unreadable.is_some() {
            self.count(MetricEvent::EntryUnreadable);
        }
        record
    }

    /// The colo's entry, unless a purge removed it. The isolate's memory stores it too.
    pub(super) fn adopt_from_colo(&mut self, bytes: Option<&[u8]>) -> Option<Arc<Entry>> {
        let record = self.record(bytes);
        self.isolate.adopt_from_colo(self.subject.key.hash, record, self.now)
    }

    /// The entry beside `Newer`, as this isolate's clock sees it; `None` if it cannot be read.
    fn entry_beside(&mut self, reply: &Reply, beside: &[u8]) -> Option<Arc<Entry>> {
        let Answer::Newer { generation, age, ttl } = reply.answer else { return None };
        let key = self.subject.key;
        let read = match self.isolate.memory.get(&key.hash, &key.text, self.now) {
            // This isolate has read and checked the same bytes before.
            Some(known) if known.committed && known.generation == generation => Some((*known).clone()),
            _ => {
                let read = entry_format::decode(beside, &key.text).ok();
                read.filter(|it| it.generation == generation)
            }
        };
        let Some(entry) = read else {
            self.count(MetricEvent::EntryUnreadable);
            return None;
        };
        let entry = entry.adopted(self.now, age, ttl);
        Some(Arc::new(Entry { global_rate: reply.global_rate, ..entry }))
    }
}
