//! What is asked of the model, a table each.

use crate::model::{
    Beyond, Endpoint, HOUR, Kind, MINUTE, Plan, QUARTER, Record, SECOND, Trouble, run, steady,
};
use crate::table::{Table, or_never, rate, time, whole};

/// Makes a table, from a seed.
type Maker = fn(u64) -> String;

/// Name, title and maker of each.
pub const ALL: [(&str, &str, Maker); 5] = [
    ("start", "Started together", start),
    ("hours", "Six hours, hour by hour", hours),
    ("outage", "Outages", outage),
    ("secret", "A wrong secret for an hour", secret),
    ("limit", "An endpoint with a limit", limit),
];

/// So that they are not in step when something happens.
const SPREAD: i64 = 9 * MINUTE;
/// When it happens.
const THEN: i64 = 30 * MINUTE;

fn plan(seed: u64, kind: Kind, members: usize, until: i64) -> Plan {
    Plan {
        seed,
        kind,
        members,
        start_within: SECOND,
        endpoint: Endpoint::new(QUARTER),
        rotations: Vec::new(),
        asleep: None,
        until,
    }
}

fn who(plan: &Plan) -> String {
    let members = whole(plan.members as u64);
    match plan.kind {
        Kind::Proxy => format!("{members} proxies"),
        Kind::Eager => format!("{members} services of their own"),
        Kind::Script => format!("{members} scripts"),
    }
}

fn start(seed: u64) -> String {
    let mut table = Table::new(&[
        "who, how",
        "worst second of the start",
        "busiest minute after it",
        "second half hour, mean",
        "not in step it would be",
    ]);
    let of = |kind, members| plan(seed, kind, members, HOUR);
    let slowly = |plan: Plan| Plan { start_within: 10 * MINUTE, ..plan };
    let short = Plan { endpoint: Endpoint::new(3 * MINUTE), ..of(Kind::Proxy, 10_000) };
    let scripts = Plan { start_within: 5 * MINUTE, ..of(Kind::Script, 10_000) };
    let wake = 3 * HOUR;
    let laptops = Plan { asleep: Some((HOUR, wake)), until: wake + HOUR, ..slowly(of(Kind::Proxy, 10_000)) };
    for (plan, how, from) in [
        (of(Kind::Proxy, 1000), "within a second", 0),
        (of(Kind::Proxy, 5000), "within a second", 0),
        (of(Kind::Proxy, 10_000), "within a second", 0),
        (slowly(of(Kind::Proxy, 10_000)), "within ten minutes", 0),
        (short, "within a second, tokens of 3 min", 0),
        (laptops, "awake within a second, after two hours of sleep", wake),
        (of(Kind::Eager, 10_000), "within a second", 0),
        (slowly(of(Kind::Eager, 10_000)), "within ten minutes", 0),
        (scripts, "every five minutes, at times of their own", 0),
    ] {
        let within = if plan.start_within > SECOND && from == 0 { plan.start_within } else { MINUTE };
        let usual = match plan.kind {
            Kind::Proxy => rate(steady(plan.members, plan.endpoint.life)),
            _ => "–".to_owned(),
        };
        let name = format!("{}, {how}", who(&plan));
        let asked = run(plan).asked;
        table.row(&[
            name,
            whole(asked.peak(from, from + within).into()),
            rate(asked.busiest_minute(from + within, from + HOUR)),
            rate(asked.mean(from + HOUR / 2, from + HOUR)),
            usual,
        ]);
    }
    table.done()
}

fn hours(seed: u64) -> String {
    let mut table = Table::new(&[
        "who",
        "1st",
        "2nd",
        "3rd",
        "4th",
        "5th",
        "6th hour: busiest minute",
        "worst second of the 6th",
        "mean of the 6th",
    ]);
    for kind in [Kind::Proxy, Kind::Eager] {
        let plan = plan(seed, kind, 2000, 6 * HOUR);
        let name = format!("{}, started within a second", who(&plan));
        let asked = run(plan).asked;
        let mut row = vec![name];
        row.extend(
            (0..6).map(|hour| rate(asked.busiest_minute((hour * HOUR).max(MINUTE), (hour + 1) * HOUR))),
        );
        row.push(whole(asked.peak(5 * HOUR, 6 * HOUR).into()));
        row.push(rate(asked.mean(5 * HOUR, 6 * HOUR)));
        table.row(&row);
    }
    table.done()
}

fn outage(seed: u64) -> String {
    let mut table = Table::new(&[
        "2 000 of them; the endpoint",
        "during: mean",
        "worst second",
        "after: worst second",
        "busiest minute of the half hour",
        "the last token comes after",
        "ever without one",
        "longest",
        "failed requests",
    ]);
    let refused = Trouble::Refused;
    for (kind, trouble, words) in [
        (Kind::Proxy, refused, "refuses connections"),
        (Kind::Proxy, Trouble::Hangs, "hangs"),
        (Kind::Proxy, Trouble::Answers(500, None), "answers 500"),
        (Kind::Proxy, Trouble::Answers(429, Some(30)), "answers 429, `Retry-After: 30`"),
        (Kind::Eager, refused, "refuses connections"),
        (Kind::Script, refused, "refuses connections"),
    ] {
        for minutes in [4, 10, 40] {
            let end = THEN + minutes * MINUTE;
            let mut plan = plan(seed, kind, 2000, end + HOUR / 2);
            plan.start_within = SPREAD;
            plan.endpoint = plan.endpoint.with(THEN, end, trouble);
            let kind = who(&plan).split_off("2 000 ".len());
            let mut row = vec![format!("{kind}: {words} for {minutes} min")];
            let scripts = plan.kind == Kind::Script;
            row.extend(outage_row(&run(plan), end));
            if scripts {
                // They hold none.
                row[5..8].fill("–".to_owned());
            }
            table.row(&row);
        }
    }
    table.done()
}

fn outage_row(record: &Record, end: i64) -> [String; 8] {
    let asked = &record.asked;
    let failed = record.failed.sum(THEN, end + HOUR / 2);
    [
        rate(asked.mean(THEN, end)),
        whole(asked.peak(THEN, end).into()),
        whole(asked.peak(end, end + HOUR / 2).into()),
        rate(asked.busiest_minute(end + MINUTE, end + HOUR / 2)),
        or_never(record.waited(end, 1.0)),
        whole(record.ever_without(THEN) as u64),
        time(record.longest_without(THEN)),
        whole(failed),
    ]
}

fn secret(seed: u64) -> String {
    let mut table = Table::new(&[
        "2 000 of them; what happens",
        "that hour: mean",
        "worst second",
        "after: worst second",
        "half wait for a token up to",
        "the last",
        "ever without one",
    ]);
    let end = THEN + HOUR;
    // New secrets reach mounted files within a minute and a half.
    let wrong = (THEN, 90 * SECOND);
    let right = (end, 90 * SECOND);
    let healthy = Endpoint::new(QUARTER).with(0, i64::MAX, Trouble::Wrong(2));
    let revoked = healthy.clone().with(THEN, i64::MAX, Trouble::Wrong(1));
    let forgiven = Endpoint::new(QUARTER).with(THEN, end, Trouble::Wrong(1));
    for (kind, endpoint, rotations, words) in [
        (Kind::Proxy, healthy, vec![wrong, right], "a wrong secret is rolled out, the old one works on"),
        (Kind::Proxy, revoked.clone(), vec![wrong, right], "and the old one is revoked at that moment"),
        (Kind::Eager, revoked, vec![wrong, right], "the same"),
        (Kind::Proxy, forgiven, vec![], "the secret is disabled in Airbyte, then enabled"),
    ] {
        let mut plan = plan(seed, kind, 2000, end + HOUR / 2);
        (plan.start_within, plan.endpoint, plan.rotations) = (SPREAD, endpoint, rotations);
        let kind = who(&plan).split_off("2 000 ".len());
        let record = run(plan);
        table.row(&[
            format!("{kind}: {words}"),
            rate(record.asked.mean(THEN, end)),
            whole(record.asked.peak(THEN, end).into()),
            whole(record.asked.peak(end, end + HOUR / 2).into()),
            or_never(record.waited(end, 0.5)),
            or_never(record.waited(end, 1.0)),
            whole(record.ever_without(THEN) as u64),
        ]);
    }
    table.done()
}

fn limit(seed: u64) -> String {
    let mut table = Table::new(&[
        "who, when; the endpoint gives 100 tokens a second",
        "asked in the worst second",
        "asked for each token",
        "half wait for a token up to",
        "the last",
        "failed requests",
    ]);
    let refuses = ("answers the rest 429", Beyond::Answers(429, None));
    let says_when = ("answers the rest 429, `Retry-After: 30`", Beyond::Answers(429, Some(30)));
    let queues = ("lets 500 stand in line", Beyond::Queues(500));
    let stuck = ("lets 5 000 stand in line", Beyond::Queues(5000));
    for (kind, members, (words, beyond), start_within, long_outage) in [
        (Kind::Proxy, 1000, refuses, SECOND, false),
        (Kind::Proxy, 5000, refuses, SECOND, false),
        (Kind::Proxy, 10_000, refuses, SECOND, false),
        (Kind::Proxy, 10_000, refuses, 5 * MINUTE, false),
        (Kind::Proxy, 10_000, says_when, SECOND, false),
        (Kind::Proxy, 10_000, queues, SECOND, false),
        (Kind::Proxy, 10_000, stuck, SECOND, false),
        (Kind::Proxy, 10_000, refuses, SPREAD, true),
        (Kind::Proxy, 10_000, queues, SPREAD, true),
        (Kind::Eager, 10_000, refuses, SECOND, false),
        (Kind::Eager, 10_000, queues, SECOND, false),
        (Kind::Eager, 10_000, refuses, SPREAD, true),
    ] {
        let from = if long_outage { THEN + 40 * MINUTE } else { 0 };
        let mut plan = plan(seed, kind, members, from + HOUR / 2);
        plan.start_within = start_within;
        plan.endpoint = plan.endpoint.with_limit(100, beyond);
        if long_outage {
            plan.endpoint = plan.endpoint.with(THEN, from, Trouble::Refused);
        }
        let when = match start_within {
            _ if long_outage => "after an outage of 40 min".to_owned(),
            within => format!("started within {}", time(within)),
        };
        let name = format!("{}, {when}; {words}", who(&plan));
        table.row(&limit_row(name, &run(plan), from));
    }
    table.done()
}

fn limit_row(name: String, record: &Record, from: i64) -> [String; 6] {
    let until = from + HOUR / 2;
    // Until each has had one; later ones are renewals.
    let first = record.waited(from, 1.0).map_or(until, |longest| from + longest + MINUTE);
    [
        name,
        whole(record.asked.peak(from, until).into()),
        rate(record.asked.mean(from, first) / record.granted.mean(from, first)),
        or_never(record.waited(from, 0.5)),
        or_never(record.waited(from, 1.0)),
        whole(record.failed.sum(from, until)),
    ]
}
