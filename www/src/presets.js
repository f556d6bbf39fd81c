// The laboratory's presets: each is a set of settings that shows one effect.

export const PRESETS = [
  { id: "hot", label: "Hot key", tells: "One answer that everybody wants, 60 times a second.", settings: {} },
  {
    id: "rare",
    label: "Rare key",
    tells: "Asked for every two seconds: it often expires before anybody could refresh it.",
    settings: { rate: 0.5, duration: 600 },
  },
  {
    id: "slow",
    label: "Slow origin",
    tells: "A computation that takes half of its time to live.",
    settings: { delta: 8, ttl: 16, rate: 20, duration: 300 },
  },
  {
    id: "outage",
    label: "Origin outage",
    tells: "The origin fails for 30 seconds in the middle.",
    settings: { outage_from: 45, outage_for: 30 },
  },
  {
    id: "colos",
    label: "Many data centres",
    tells: "200 requests a second over 20 data centres, each with a cache of its own.",
    settings: { colos: 20, isolates: 2, rate: 200, object_delay: 80 },
  },
  {
    id: "clocks",
    label: "Clock trouble",
    tells: "Each data centre's clock is off by up to three seconds.",
    settings: { skew: 3, ttl: 20, colos: 5, duration: 180 },
  },
  {
    id: "faults",
    label: "Bad day",
    tells:
      "A tenth of the messages to the lock is lost, caches forget, and one step in fifty of the background work dies.",
    settings: { loss: 0.1, cache_loss: 0.2, crash: 0.02, duration: 300 },
  },
  {
    id: "tail",
    label: "Long tail",
    tells: "1,000 different questions by Zipf's law.",
    settings: { keys: 1_000, rate: 200, ttl: 30, colos: 2 },
  },
  {
    id: "mistake",
    label: "The mistake: delta = TTL",
    tells:
      "Two of the strategies are fed with the TTL in place of the measured cost, which is a beta of TTL over delta: more than a third of the reads of a brand-new answer refresh it. The deployed cache measures.",
    settings: { beta: 10, early_window: 1 },
  },
  {
    id: "recheck",
    label: "The mistake: re-check by freshness",
    tells:
      'A re-check that asks "is it fresh now?" skips every early refresh, as the entry still is. Here the early window is cut to a hundredth for all strategies, which comes to the same: XFetch is dead code, and every cycle ends stale.',
    settings: { early_window: 0.01 },
  },
];
