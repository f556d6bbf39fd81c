//! What a request for a key would get now, and why. Nothing changes: the request's own tasks run on a copy of what this
//! isolate knows of the key, and ask a copy of the key's object, so that the explanation cannot differ from the decision.

use std::sync::Arc;

use super::{
    computation::TriggerOutcome,
    metrics::{MetricEvent, ServedAs},
    state::IsolateState,
    step::{Background, Done, Effect, Event, KeyedRoute, RefreshOrder, Shared, Step},
    task::Task,
};
use crate::{
    core::{
        entry::Entry,
        freshness::{self, Verdict},
        purge::Floor,
        time::{Instant, Span},
        xfetch::{self, Chance, Draw},
    },
    protocol::{message::Inspection, snapshot::Snapshot},
};

/// The bits of the smallest draw, which triggers whenever any draw does.
const SMALLEST_DRAW: u64 = 0;
/// The bits of a draw that never triggers early.
const LARGEST_DRAW: u64 = u64::MAX;

/// How a request would be answered.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedAnswer {
    /// By this entry, without a computation.
    Entry(Arc<Entry>),
    /// By a computation that this request starts and waits for.
    Leads,
    /// By a computation that is under way, for which this request waits.
    Waits,
    /// By the origin, uncached: the key's answers must not be stored.
    Passes,
    /// By an entry of another variant of the key: that of the request's values of these header fields.
    OtherVariant(Vec<String>),
    /// By an error: the origin has failed, or there is no room.
    Refused,
}

/// Where the entry that answers is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In this isolate's memory.
    Memory,
    /// In the colo's cache.
    Colo,
    /// At the key's object.
    Object,
}

/// What happens if the request triggers a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedRefresh {
    /// A refresh begins behind the answer.
    Begins,
    /// None begins, for this reason.
    Blocked(TriggerOutcome),
}

/// What a request would get now.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The answer.
    pub answer: ExpectedAnswer,
    /// How it would count; `None` while the request waits for a computation.
    pub class: Option<ServedAs>,
    /// The furthest place that the request looks into.
    pub source: Source,
    /// The probability that this request triggers a refresh: 1 for a stale entry.
    pub probability: f64,
    /// When the early window of the entry that answers opens.
    pub window_opens: Option<Instant>,
    /// What a trigger leads to; `None` if no draw triggers.
    pub refresh: Option<ExpectedRefresh>,
}

impl Explanation {
    /// The entry that would answer.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        match &self.answer {
            ExpectedAnswer::Entry(entry) => Some(entry),
            ExpectedAnswer::Leads
            | ExpectedAnswer::Waits
            | ExpectedAnswer::Passes
            | ExpectedAnswer::OtherVariant(_)
            | ExpectedAnswer::Refused => None,
        }
    }

    /// The word for the answer.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match (&self.answer, self.class) {
            (ExpectedAnswer::Entry(_), Some(ServedAs::HitStale)) => "stale_hit",
            (ExpectedAnswer::Entry(_), _) => "fresh_hit",
            (ExpectedAnswer::Leads, _) => "computes",
            (ExpectedAnswer::Waits, _) => "waits",
            (ExpectedAnswer::Passes, _) => "passes",
            (ExpectedAnswer::OtherVariant(_), _) => "varies",
            (ExpectedAnswer::Refused, _) => "error",
        }
    }

    /// What a trigger leads to, as a word and as a sentence; `None` if no draw triggers.
    #[must_use]
    pub fn refresh_words(&self) -> Option<(&'static str, &'static str)> {
        Some(match self.refresh? {
            ExpectedRefresh::Begins => ("begins", "A trigger begins a refresh behind the answer."),
            ExpectedRefresh::Blocked(TriggerOutcome::Backoff) => {
                ("held_back", "A trigger begins none, after a failure or without room for a call.")
            }
            ExpectedRefresh::Blocked(_) => ("under_way", "A trigger begins none: one is under way."),
        })
    }

    /// The reasons, one sentence each. `object` is what the key's object has replied, if it could be reached, and
    /// `floor` the highest purge floor that any tier knows.
    #[must_use]
    pub fn words(
        &self,
        subject: KeyedRoute<'_>,
        object: Option<&Inspection>,
        floor: Floor,
        now: Instant,
    ) -> Vec<String> {
        let is_stale = self.class == Some(ServedAs::HitStale);
        let headers = match subject.route.headers.as_slice() {
            [] => String::new(),
            names => format!(", and the headers {}", names.join(", ")),
        };
        let mut words = vec![format!(
            "The path matches the route {}; the key contains method, path, query and canonical body{headers}.",
            subject.route.path
        )];
        let place = match self.source {
            Source::Memory => "memory",
            Source::Colo => "the colo",
            Source::Object => "the key's object",
        };
        words.push(match &self.answer {
            ExpectedAnswer::Entry(entry) if now >= entry.expiry() => {
                let since = now.since(entry.expiry());
                timed(&format!("An entry from {place} answers; it expired "), since, " s ago.")
            }
            ExpectedAnswer::Entry(entry) => {
                let left = entry.expiry().since(now);
                timed(&format!("An entry answers from {place}; it expires in "), left, " s.")
            }
            ExpectedAnswer::Leads => {
                "No entry may be served: the request computes one under the object's lease, and waits."
                    .to_owned()
            }
            ExpectedAnswer::Waits => {
                "No entry may be served: the request waits for the computation under way.".to_owned()
            }
            ExpectedAnswer::Passes => {
                "The answers of this key must not be stored: the origin gets the request, uncached."
                    .to_owned()
            }
            ExpectedAnswer::OtherVariant(names) => {
                format!("The answers vary by {}: the request's values choose the entry.", names.join(", "))
            }
            ExpectedAnswer::Refused => "Nothing may be served or computed: an error, at once.".to_owned(),
        });
        if let Some(opens) = self.window_opens {
            words.push(if self.probability >= 1.0 {
                "It triggers a refresh for certain.".to_owned()
            } else if is_stale {
                "It may be served only because the origin fails, and triggers no refresh.".to_owned()
            } else if now < opens {
                timed("No refresh before the early window opens in ", opens.since(now), " s.")
            } else {
                let percent = Span((self.probability * 100_000.0) as u64);
                timed("It triggers a refresh with a probability of ", percent, " %.")
            });
        }
        words.extend(self.refresh_words().map(|(_, sentence)| sentence.to_owned()));
        words.push(match object {
            None => "The object cannot be reached.".to_owned(),
            Some(Inspection { lease_token: Some(_), lease_remaining, .. }) => {
                timed("The object has granted a lease for ", lease_remaining.unwrap_or_default(), " s more.")
            }
            Some(Inspection { failure: Some(_), failure_remaining, .. }) => timed(
                "The object grants no lease after a failure for ",
                failure_remaining.unwrap_or_default(),
                " s more.",
            ),
            Some(_) => "The object would grant the lease.".to_owned(),
        });
        for (below, became) in [(floor.soft, "stale"), (floor.hard, "deleted")] {
            if below > 0 {
                words.push(format!("A purge made the generations below {below} {became}."));
            }
        }
        words
    }
}

/// A sentence with a number of seconds in it. Formatting a float would add ten kilobytes to the wasm.
fn timed(before: &str, span: Span, after: &str) -> String {
    format!("{before}{}.{}{after}", span.0 / 1_000, span.0 % 1_000 / 100)
}

/// A world of one request: copies, whose changes nobody sees.
struct DryRun<'a> {
    isolate: IsolateState,
    subject: KeyedRoute<'a>,
    colo: Option<&'a [u8]>,
    object: Option<Snapshot>,
    now: Instant,
    bits: u64,
    source: Source,
    refresh: Option<ExpectedRefresh>,
}

/// Explains what a request for this key would get at `now`, given the record in the colo's cache and what the key's
/// object has stored, if it could be reached.
#[must_use]
pub fn explain(
    isolate: &IsolateState,
    subject: KeyedRoute<'_>,
    colo: Option<&[u8]>,
    object: Option<&Snapshot>,
    now: Instant,
) -> Explanation {
    let dry_run = |bits| DryRun {
        isolate: isolate.of_key(&subject.key.hash),
        subject,
        colo,
        object: object.cloned(),
        now,
        bits,
        source: Source::Memory,
        refresh: None,
    };
    let mut run = dry_run(LARGEST_DRAW);
    let (answer, class) = run.request();
    let mut eager = dry_run(SMALLEST_DRAW);
    eager.request();
    let (mut probability, mut window_opens) = (0.0, None);
    if let ExpectedAnswer::Entry(entry) = &answer {
        let rate = run.isolate.memory.rate(&subject.key.hash, subject.route.lifetime.ttl);
        let eagerness = freshness::eagerness(Some(entry), now, subject.route, || rate);
        let rule = freshness::rule(entry, eagerness);
        window_opens = Some(entry.expiry().minus(rule.window));
        probability = match freshness::judge(Some(entry), now, eagerness, Draw::NEVER_EARLY) {
            _ if eager.refresh.is_none() => 0.0,
            Verdict::Fresh | Verdict::RefreshEarly => xfetch::probability(entry.expiry().since(now), rule),
            Verdict::Stale => 1.0,
            Verdict::Miss { .. } => 0.0,
        };
    }
    Explanation { answer, class, source: run.source, probability, window_opens, refresh: eager.refresh }
}

/// How a computation that the request begins goes on.
enum Led {
    /// The origin is called.
    Computes,
    /// Another isolate computes.
    Waits,
    /// It ends with this.
    Ended(Shared),
}

impl DryRun<'_> {
    /// Runs the request until it is answered, or waits for a computation.
    fn request(&mut self) -> (ExpectedAnswer, Option<ServedAs>) {
        let mut task = Task::request();
        let mut event = Event::Started;
        loop {
            let step = self.step(&mut task, event);
            let (mut leads, mut woken) = (None, None);
            for background in step.notes.spawn {
                match background {
                    Background::Refresh(order) if order.for_whom.is_some() => leads = Some(order),
                    Background::Refresh(_) => self.refresh = Some(ExpectedRefresh::Begins),
                    Background::SharedLook { .. } => {
                        self.looks_into(Source::Colo);
                        let mut look = Task::new(background);
                        self.step(&mut look, Event::Started);
                        let found = self.step(&mut look, Event::Colo(self.colo.map(<[u8]>::to_vec)));
                        woken = found.notes.wake.into_iter().next().map(|(_, shared)| shared);
                    }
                    Background::Adopt(_) | Background::SharedWait { .. } => {}
                }
            }
            for event in step.notes.events {
                if let MetricEvent::Triggered { trigger, .. } = event {
                    self.refresh = Some(ExpectedRefresh::Blocked(trigger));
                }
            }
            if let Some(order) = leads {
                match self.lead(order) {
                    Led::Computes => return (ExpectedAnswer::Leads, None),
                    Led::Waits => return (ExpectedAnswer::Waits, None),
                    Led::Ended(shared) => woken = Some(shared),
                }
            }
            event = match (step.effect, woken) {
                (Effect::LookUpColo, _) => self.look_into_colo(),
                (Effect::Sleep { .. }, Some(shared)) => Event::Woken(shared),
                (Effect::CallOrigin { .. } | Effect::Done(Done::Forward), _) => {
                    return (ExpectedAnswer::Passes, None);
                }
                (Effect::Done(Done::Varies(names)), _) => return (ExpectedAnswer::OtherVariant(names), None),
                (Effect::Done(Done::Served(served)), _) => {
                    let entry =
                        served.answer.entry().map(|(entry, _)| ExpectedAnswer::Entry(Arc::clone(entry)));
                    return (entry.unwrap_or(ExpectedAnswer::Refused), Some(served.class));
                }
                (_, _) => return (ExpectedAnswer::Waits, None),
            };
        }
    }

    /// Runs the request's own computation until it calls the origin, waits, or ends without either.
    fn lead(&mut self, order: RefreshOrder) -> Led {
        let mut task = Task::new(Background::Refresh(order));
        let mut event = Event::Started;
        loop {
            let step = self.step(&mut task, event);
            event = match step.effect {
                Effect::LookUpColo => self.look_into_colo(),
                Effect::WriteColo { .. } => Event::Written,
                Effect::Send { bytes, .. } => {
                    self.looks_into(Source::Object);
                    // Without the object the request may call the origin without a lease.
                    let Some(object) = &mut self.object else { return Led::Computes };
                    match object.ask(&bytes, self.now) {
                        Some(reply) => Event::Object(Ok(reply)),
                        None => return Led::Waits,
                    }
                }
                Effect::CallOrigin { .. } => return Led::Computes,
                Effect::Sleep { .. } => return Led::Waits,
                Effect::Done(_) => {
                    let ended = step.notes.wake.into_iter().next();
                    return ended.map_or(Led::Waits, |(_, shared)| Led::Ended(shared));
                }
            };
        }
    }

    fn step(&mut self, task: &mut Task, event: Event) -> Step {
        task.on(event, self.subject, &mut self.isolate, self.now, Chance(Some(self.bits)))
    }

    fn look_into_colo(&mut self) -> Event {
        self.looks_into(Source::Colo);
        Event::Colo(self.colo.map(<[u8]>::to_vec))
    }

    fn looks_into(&mut self, source: Source) {
        if self.source != Source::Object {
            self.source = source;
        }
    }
}
