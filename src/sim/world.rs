//! The world's state and its queue of events: one clock, one step at a time.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
    rc::Rc,
    sync::Arc,
};

use super::{
    Cycle, Report, Scenario,
    baselines::Plain,
    fault_schedule::skewed,
    invariants::{Promises, Violation},
    object::{Object, Objects, Ticket},
    origin::{Call, Origin},
    rng::{Chance, Zipf},
    tasks::{Task, Waits},
    tiers::{Clock, Colo, Isolate},
};
use crate::{
    core::{
        config::Route,
        entry::Entry,
        key::{self, Key, Scope},
        time::{Instant, Span},
    },
    isolate::metrics::Counters,
    protocol::message::{Message, Reply},
};

/// The true time at which every run begins: far from zero, so that clocks may step back.
pub(super) const BEGIN: Instant = Instant(1_000_000_000_000);

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) at: Instant,
    pub(super) is_warm: bool,
}

/// Why there is no answer of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    Slow,
    Retryable,
    Overloaded,
    Broken,
}

/// What a task waited for.
#[derive(Clone, Debug)]
pub(super) enum Happened {
    /// The time of what it does is up.
    Done,
    /// Another request has looked, and found this.
    Found(Option<Arc<Entry>>),
    /// The object has answered.
    Replied(Reply, Option<Arc<Entry>>),
    /// It has not.
    Lost(Loss),
}

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum What {
    Arrival,
    Burst,
    Task(Ticket, Happened),
    Patience(u64),
    Deliver { key: usize, from: Ticket, message: Message, entry: Option<Arc<Entry>> },
    SleepEnds { key: usize, sleeper: Ticket },
    OriginEnds { key: usize },
    Plain { colo: usize, key: usize, call: Call, waits: Option<Request> },
    Fault(Fault),
}

/// What goes wrong on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Step,
    Restart,
    Evict,
    CleanUp,
    Leap,
    Purge,
    Unreachable,
    KindAgain,
}

impl Fault {
    /// Those that come back, each at its own distance.
    const AGAIN: [Self; 7] =
        [Self::Step, Self::Restart, Self::Evict, Self::Purge, Self::Unreachable, Self::CleanUp, Self::Leap];
}

#[derive(Debug)]
struct Scheduled {
    at: Instant,
    number: u64,
    what: What,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The earliest is the greatest; of two at once the one that was scheduled first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// The life of the most wanted key's entry that is under way.
#[derive(Debug, Default)]
struct CycleNow {
    expiry: Option<Instant>,
    generation: u64,
    first: Option<f64>,
    triggers: u32,
}

/// A world under way.
#[derive(Debug)]
pub struct World {
    pub(super) scenario: Scenario,
    pub(super) route: Rc<Route>,
    pub(super) now: Instant,
    queue: BinaryHeap<Scheduled>,
    number: u64,
    arrivals: Chance,
    zipf: Zipf,
    pub(super) chance: Chance,
    pub(super) keys: Vec<Key>,
    pub(super) colos: Vec<Colo>,
    pub(super) isolates: Vec<Isolate>,
    pub(super) objects: Objects,
    pub(super) unreachable_until: Instant,
    pub(super) origin: Origin,
    pub(super) tasks: BTreeMap<u64, Task>,
    pub(super) next_task: u64,
    /// Acquires that were given up, by what they were asked under: whose, and for which key.
    pub(super) late: BTreeMap<Ticket, (usize, usize)>,
    pub(super) plain: Plain,
    pub(super) tally: Counters,
    pub(super) figures: Report,
    pub(super) promises: Promises,
    covered: Vec<Option<Span>>,
    cycle: CycleNow,
    log: Option<Vec<String>>,
}

impl World {
    /// The world before its first event.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let colos: Vec<Colo> = (0..scenario.colos).map(|_| Colo::default()).collect();
        let isolates = (0..scenario.colos * scenario.isolates)
            .map(|index| Isolate::new((index / scenario.isolates.max(1)) as usize, u64::from(index) + 1))
            .collect();
        let keys: Vec<Key> = (0..scenario.keys).map(key_of).collect();
        let mut world = Self {
            route: scenario.route(),
            now: BEGIN,
            queue: BinaryHeap::new(),
            number: 0,
            arrivals: Chance::new(scenario.seed, 1),
            zipf: Zipf::new(scenario.keys, scenario.zipf),
            chance: Chance::new(scenario.seed, 3),
            objects: Objects {
                clock: Clock::default(),
                all: keys.iter().map(|_| Object::default()).collect(),
            },
            unreachable_until: Instant::EPOCH,
            origin: Origin::new(&scenario),
            tasks: BTreeMap::new(),
            next_task: 0,
            late: BTreeMap::new(),
            plain: Plain::new(&scenario),
            tally: Counters::default(),
            figures: Report::default(),
            promises: Promises::new(&scenario),
            covered: vec![None; keys.len()],
            cycle: CycleNow::default(),
            log: None,
            keys,
            colos,
            isolates,
            scenario,
        };
        world.begin();
        world
    }

    /// Keeps a transcript from now on.
    #[must_use]
    pub fn with_log(mut self) -> Self {
        self.log = Some(Vec::new());
        self
    }

    /// The transcript, a line for each event.
    #[must_use]
    pub fn log(&self) -> &[String] {
        self.log.as_deref().unwrap_or_default()
    }

    /// How far the run is.
    #[must_use]
    pub fn elapsed(&self) -> Span {
        self.now.since(BEGIN)
    }

    /// The figures until now.
    #[must_use]
    pub fn figures_now(&self) -> Report {
        Report { calls: self.origin.calls, tally: self.tally.clone(), ..self.figures.clone() }
    }

    /// The next event; false when nothing is left to happen.
    ///
    /// # Errors
    /// A broken promise.
    pub fn step(&mut self) -> Result<bool, Violation> {
        let Some(Scheduled { at, what, .. }) = self.queue.pop() else {
            self.finish();
            return self.promises.first.take().map_or(Ok(false), Err);
        };
        self.now = at;
        self.figures.steps += 1;
        self.note(|| format!("{what:?}"));
        self.happen(what);
        if self.scenario.faults.any() {
            self.promises.sums(self.now.since(BEGIN), &self.tally);
        }
        self.promises.first.take().map_or(Ok(true), Err)
    }

    fn begin(&mut self) {
        self.after_arrival();
        if let Some(burst) = self.scenario.burst {
            self.schedule(burst.every, What::Burst);
        }
        let faults = self.scenario.faults.clone();
        if !faults.any() {
            return;
        }
        for colo in &mut self.colos {
            colo.clock = skewed(&mut self.chance, faults.skew);
            self.promises.clock(colo.clock);
        }
        self.objects.clock = skewed(&mut self.chance, faults.skew);
        self.promises.clock(self.objects.clock);
        for fault in Fault::AGAIN {
            self.after_fault(fault);
        }
        self.schedule(faults.until, What::Fault(Fault::KindAgain));
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Arrival => {
                self.arrive();
                self.after_arrival();
            }
            What::Burst => {
                let burst = self.scenario.burst;
                for _ in 0..burst.map_or(0, |burst| burst.size) {
                    self.arrive_for(0);
                }
                if let Some(burst) = burst.filter(|it| self.elapsed().plus(it.every) < self.scenario.duration)
                {
                    self.schedule(burst.every, What::Burst);
                }
            }
            What::Task(ticket, happened) => self.on_task(ticket, happened),
            What::Patience(task) => self.on_patience(task),
            What::Deliver { key, from, message, entry } => self.deliver(key, from, &message, entry),
            What::SleepEnds { key, sleeper } => {
                if let Some(told) = self.objects.all[key].wake(sleeper) {
                    self.answer_back(told);
                }
            }
            What::OriginEnds { key } => self.origin.under_way[key] -= 1,
            What::Plain { colo, key, call, waits } => self.plain_ended(colo, key, &call, waits),
            What::Fault(fault) => self.on_fault(fault),
        }
    }

    /// Nobody asks any more: everything that was under way must have ended.
    fn finish(&mut self) {
        let at = self.elapsed();
        let left: Vec<_> = self.tasks.values().map(Task::describe).collect();
        self.promises.ended(left.is_empty(), at, || format!("left at the end: {left:?}"));
        self.promises.sums(at, &self.tally);
    }

    // Traffic.

    fn after_arrival(&mut self) {
        if self.scenario.rate <= 0.0 {
            return;
        }
        let distance = self.arrivals.exponential(1_000.0 / self.scenario.rate);
        // Whole milliseconds, without a drift: what is cut off is carried as chance.
        let (whole, rest) = (distance.floor(), distance.fract());
        let distance = Span(whole as u64 + u64::from(self.arrivals.happens(rest)));
        if self.elapsed().plus(distance) < self.scenario.duration {
            self.schedule(distance, What::Arrival);
        }
    }

    fn arrive(&mut self) {
        let key = self.zipf.draw(&mut self.arrivals);
        self.arrive_for(key);
    }

    fn arrive_for(&mut self, key: usize) {
        let isolate = self.arrivals.below(self.isolates.len() as u64) as usize;
        let at = self.elapsed();
        self.figures.second(at).requests += 1;
        if self.covered[key]
            .is_none_or(|covered| at >= covered.plus(self.scenario.lifetime.ttl).plus(self.scenario.delta))
        {
            self.covered[key] = Some(at);
            self.figures.least_calls += 1;
        }
        if self.scenario.strategy.has_promises() {
            self.on_request(isolate, key);
        } else {
            self.on_plain_request(self.isolates[isolate].colo, key);
        }
    }

    /// How often the most wanted key is asked for, in requests per second.
    #[must_use]
    pub fn hot_rate(&self) -> f64 {
        self.scenario.rate * self.zipf.share(0)
    }

    pub(super) fn schedule(&mut self, after: Span, what: What) {
        self.number += 1;
        self.queue.push(Scheduled { at: self.now.plus(after), number: self.number, what });
    }

    // Cycles of the most wanted key.

    /// A request has found the entry due.
    pub(super) fn triggered(&mut self, key: usize, generation: u64) {
        // One that was judged before its successor could be seen belongs to the cycle before.
        let is_of_this_cycle = key == 0 && generation >= self.cycle.generation;
        let Some(expiry) = self.cycle.expiry.filter(|_| is_of_this_cycle) else { return };
        let gap = expiry.as_seconds() - self.now.as_seconds();
        self.cycle.first.get_or_insert(gap);
        self.cycle.triggers += u32::from(gap > 0.0);
    }

    /// A new value can be seen.
    pub(super) fn cycle_ends(&mut self, key: usize, generation: u64) {
        if key != 0 {
            return;
        }
        let expiry = Some(self.now.plus(self.scenario.lifetime.ttl));
        let ended =
            std::mem::replace(&mut self.cycle, CycleNow { expiry, generation, ..CycleNow::default() });
        if let Some((gap, expiry)) = ended.first.zip(ended.expiry) {
            let late = self.now > expiry;
            self.figures.cycles.push(Cycle { gap, triggers: ended.triggers, late });
        }
    }

    // Small things.

    pub(super) fn clock_of(&self, isolate: usize) -> Instant {
        self.colos[self.isolates[isolate].colo].clock.read(self.now)
    }

    pub(super) fn spawn(&mut self, task: Task) -> u64 {
        self.next_task += 1;
        self.tasks.insert(self.next_task, task);
        self.next_task
    }

    /// The ticket for a task's next step; what it waited for before finds it no more.
    pub(super) fn next_ticket(&mut self, id: u64, waits: Waits) -> Ticket {
        let Some(task) = self.tasks.get_mut(&id) else { return (id, 0) };
        task.ticket += 1;
        task.waits = waits;
        (id, task.ticket)
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let at = self.elapsed();
        if let Some(log) = &mut self.log {
            log.push(format!("{:>8} {}", at.0, line()));
        }
    }
}

fn key_of(index: u32) -> Key {
    let scope = Scope { version: "1", route: "sim", method: "POST", path: "/", headers: &[] };
    key::key(&scope, &index.to_string())
}
