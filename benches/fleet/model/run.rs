//! The event queue.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use airbyte_proxy::token::{Deed, Outcome};

use super::client::{Client, Kind, client};
use super::record::Gap;
use super::{Endpoint, Record, SECOND};

/// Between two requests of one client's application, on average.
const REQUESTS: f64 = 10.0 * SECOND as f64;

/// What is to happen. Times are milliseconds from the beginning.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub kind: Kind,
    pub members: usize,
    /// All start within this time.
    pub start_within: i64,
    pub endpoint: Endpoint,
    /// When the secret changes where all read it, and how long it takes until the last has seen it.
    pub rotations: Vec<(i64, i64)>,
    /// All machines sleep from then to then, and wake within a second.
    pub asleep: Option<(i64, i64)>,
    pub until: i64,
}

enum What {
    Start,
    /// A look that is still wanted if nothing has happened since.
    Look(u64),
    Answer(u64, Box<Outcome>),
    /// By an application that has had no token since this.
    Request(i64),
    Rotate,
}

struct Event {
    at: i64,
    /// Events of the same millisecond happen in the order in which they were planned.
    number: u64,
    who: usize,
    what: What,
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

struct Member {
    client: Box<dyn Client>,
    /// Counts what happened to it.
    seen: u64,
    /// Since when it has had no token.
    without: Option<i64>,
    callers: u64,
    /// Of those that wait: number and since when.
    waiting: Vec<(u64, i64)>,
}

struct Fleet {
    plan: Plan,
    now: i64,
    queue: BinaryHeap<Reverse<Event>>,
    numbers: u64,
    members: Vec<Member>,
    rng: fastrand::Rng,
    record: Record,
}

/// Runs it to its end.
pub fn run(plan: Plan) -> Record {
    let mut fleet = Fleet::new(plan);
    while let Some(Reverse(event)) = fleet.queue.pop() {
        if event.at >= fleet.plan.until {
            break;
        }
        fleet.happen(event);
    }
    fleet.end()
}

impl Fleet {
    fn new(plan: Plan) -> Self {
        let mut rng = fastrand::Rng::with_seed(plan.seed);
        let member = |rng: &mut fastrand::Rng| Member {
            client: client(plan.kind, rng.u64(..)),
            seen: 0,
            without: None,
            callers: 0,
            waiting: Vec::new(),
        };
        let mut fleet = Self {
            now: 0,
            queue: BinaryHeap::new(),
            numbers: 0,
            members: (0..plan.members).map(|_| member(&mut rng)).collect(),
            rng,
            record: Record::new(plan.until),
            plan,
        };
        for who in 0..fleet.members.len() {
            let at = fleet.rng.i64(0..fleet.plan.start_within.max(1));
            fleet.plan(at, who, What::Start);
            for (from, within) in fleet.plan.rotations.clone() {
                let at = from + fleet.rng.i64(0..within.max(1));
                fleet.plan(at, who, What::Rotate);
            }
        }
        fleet
    }

    fn plan(&mut self, at: i64, who: usize, what: What) {
        self.numbers += 1;
        self.queue.push(Reverse(Event { at, number: self.numbers, who, what }));
    }

    fn happen(&mut self, event: Event) {
        let Event { at, who, what, .. } = event;
        if let Some((from, to)) = self.plan.asleep
            && (from..to).contains(&at)
        {
            let late = self.rng.i64(0..SECOND);
            return self.plan(to + late, who, what);
        }
        self.now = at;
        let member = &mut self.members[who];
        let deeds = match what {
            What::Look(seen) if seen != member.seen => return,
            What::Look(_) => member.client.look(at),
            What::Start => {
                self.without(who);
                self.members[who].client.start(at)
            }
            What::Answer(attempt, outcome) => member.client.answered(at, attempt, *outcome),
            What::Rotate => member.client.rotate(at),
            What::Request(since) if member.without != Some(since) => return,
            What::Request(since) => {
                self.next_request(who, since);
                self.request(who)
            }
        };
        for deed in deeds {
            self.done(who, deed);
        }
        let member = &mut self.members[who];
        member.seen += 1;
        let (seen, nap) = (member.seen, member.client.nap(at));
        self.plan(at.saturating_add(nap), who, What::Look(seen));
    }

    fn request(&mut self, who: usize) -> Vec<Deed> {
        let member = &mut self.members[who];
        member.callers += 1;
        member.waiting.push((member.callers, self.now));
        member.client.acquire(self.now, member.callers)
    }

    fn done(&mut self, who: usize, deed: Deed) {
        match deed {
            Deed::Ask { attempt, credentials } => {
                let (after, outcome) = self.plan.endpoint.ask(self.now, credentials, &mut self.rng);
                self.record.asked(self.now, outcome.is_ok());
                self.plan(self.now + after, who, What::Answer(attempt, Box::new(outcome)));
            }
            Deed::Minted => {
                if let Some(from) = self.members[who].without.take() {
                    self.record.gaps.push(Gap { who, from, to: self.now });
                }
            }
            Deed::Died => self.without(who),
            Deed::Lend(caller) => {
                if self.settle(who, caller).is_some_and(|since| since < self.now) {
                    self.record.late(self.now);
                }
            }
            Deed::Refuse(caller) => {
                self.settle(who, caller);
                self.record.failed(self.now);
            }
        }
    }

    fn settle(&mut self, who: usize, caller: u64) -> Option<i64> {
        let waiting = &mut self.members[who].waiting;
        let at = waiting.iter().position(|(waits, _)| *waits == caller)?;
        Some(waiting.swap_remove(at).1)
    }

    /// From now on it has no token. Requests come at random, independently of each other, so it does not matter when
    /// the last one came: the next is drawn from now.
    fn without(&mut self, who: usize) {
        if self.plan.kind != Kind::Script {
            self.members[who].without = Some(self.now);
            self.next_request(who, self.now);
        }
    }

    fn next_request(&mut self, who: usize, since: i64) {
        let pause = -(1.0 - self.rng.f64()).ln() * REQUESTS;
        self.plan(self.now + pause as i64 + 1, who, What::Request(since));
    }

    fn end(mut self) -> Record {
        let to = self.plan.until;
        for (who, member) in self.members.iter().enumerate() {
            self.record.gaps.extend(member.without.map(|from| Gap { who, from, to }));
        }
        self.record
    }
}
