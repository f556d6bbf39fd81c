// The analysis itself: a Dixon-Coles score matrix and the markets derived from it.
//
// M. J. Dixon, S. G. Coles, Modelling Association Football Scores and Inefficiencies in the Football
// Betting Market, Applied Statistics 46(2), 1997. Goals of both sides are Poisson, and the four lowest
// scores are corrected by tau(rho).

/** Attack and defence on a logarithmic scale; 0 is the average of this fictional league. */
export const TEAMS = {
  Arsenal: { attack: 0.42, defence: 0.38 },
  "Aston Villa": { attack: 0.18, defence: 0.06 },
  Brentford: { attack: 0.05, defence: -0.08 },
  Brighton: { attack: 0.14, defence: 0.02 },
  Burnley: { attack: -0.34, defence: -0.3 },
  Chelsea: { attack: 0.24, defence: 0.14 },
  "Crystal Palace": { attack: -0.06, defence: 0.1 },
  Everton: { attack: -0.18, defence: 0.08 },
  Fulham: { attack: 0.02, defence: -0.02 },
  Liverpool: { attack: 0.46, defence: 0.3 },
  "Manchester City": { attack: 0.5, defence: 0.34 },
  "Manchester United": { attack: 0.12, defence: 0.04 },
  Newcastle: { attack: 0.26, defence: 0.12 },
  "Nottingham Forest": { attack: 0.0, defence: 0.08 },
  Tottenham: { attack: 0.22, defence: -0.04 },
  "West Ham": { attack: -0.04, defence: -0.16 },
  Wolves: { attack: -0.12, defence: -0.14 },
};

const HOME_ADVANTAGE = 0.26;
const BASE = 0.13;
const RHO = -0.09;
const MOST_GOALS = 10;
const SIMULATED_MATCHES = 20_000;

/** The expected goals of both sides. */
function rates(home, away) {
  return {
    home: Math.exp(BASE + HOME_ADVANTAGE + home.attack - away.defence),
    away: Math.exp(BASE + away.attack - home.defence),
  };
}

function poisson(rate) {
  const probabilities = [Math.exp(-rate)];
  for (let goals = 1; goals <= MOST_GOALS; goals += 1) probabilities.push((probabilities[goals - 1] * rate) / goals);
  return probabilities;
}

function tau(x, y, home, away) {
  if (x === 0 && y === 0) return 1 - home * away * RHO;
  if (x === 0 && y === 1) return 1 + home * RHO;
  if (x === 1 && y === 0) return 1 + away * RHO;
  if (x === 1 && y === 1) return 1 - RHO;
  return 1;
}

/** The probability of every score, normalised over 0 to 10 goals a side. */
function scoreMatrix({ home, away }) {
  const [x, y] = [poisson(home), poisson(away)];
  const matrix = x.map((p, i) => y.map((q, j) => p * q * tau(i, j, home, away)));
  const sum = matrix.flat().reduce((a, b) => a + b, 0);
  return matrix.map((row) => row.map((p) => p / sum));
}

const round = (p) => Math.round(p * 1e6) / 1e6;

function sumWhere(matrix, holds) {
  return matrix.reduce((a, row, i) => a + row.reduce((b, p, j) => b + (holds(i, j) ? p : 0), 0), 0);
}

/** The markets that follow from a score matrix. */
function markets(matrix) {
  const over = (line) => round(sumWhere(matrix, (i, j) => i + j > line));
  const both = sumWhere(matrix, (i, j) => i > 0 && j > 0);
  const scores = matrix.flatMap((row, i) => row.map((p, j) => ({ score: `${i}-${j}`, probability: round(p) })));
  return {
    "1X2": {
      home: round(sumWhere(matrix, (i, j) => i > j)),
      draw: round(sumWhere(matrix, (i, j) => i === j)),
      away: round(sumWhere(matrix, (i, j) => i < j)),
    },
    over_under: Object.fromEntries(
      [0.5, 1.5, 2.5, 3.5, 4.5].map((line) => [line, { over: over(line), under: round(1 - over(line)) }]),
    ),
    both_teams_to_score: { yes: round(both), no: round(1 - both) },
    correct_scores: scores.sort((a, b) => b.probability - a.probability).slice(0, 12),
  };
}

/** Simulates matches by the matrix; yields regularly, so that other requests are served meanwhile. */
async function monteCarlo(matrix) {
  const cumulative = [];
  matrix.forEach((row, i) =>
    row.forEach((p, j) => cumulative.push({ i, j, upTo: p + (cumulative.at(-1)?.upTo ?? 0) })),
  );
  let comeback = 0;
  let margin = 0;
  for (let match = 0; match < SIMULATED_MATCHES; match += 1) {
    if (match % 2_000 === 0) await new Promise(setImmediate);
    const u = Math.random() * cumulative.at(-1).upTo;
    const { i, j } = cumulative.find((score) => u <= score.upTo) ?? cumulative.at(-1);
    margin += Math.abs(i - j);
    // All orders of the goals are equally likely, so the first goal is the loser's with this probability.
    if (i !== j && i > 0 && j > 0 && Math.random() < (i > j ? j : i) / (i + j)) comeback += 1;
  }
  return {
    matches: SIMULATED_MATCHES,
    comeback_win: round(comeback / SIMULATED_MATCHES),
    mean_margin: round(margin / SIMULATED_MATCHES),
  };
}

/** The whole analysis; undefined for a team that is not in the table. */
export async function analyse({ home_team, away_team, match_date }) {
  const [home, away] = [TEAMS[home_team], TEAMS[away_team]];
  if (!home || !away) return undefined;
  const expected = rates(home, away);
  const matrix = scoreMatrix(expected);
  return {
    match: { home_team, away_team, match_date },
    expected_goals: { home: round(expected.home), away: round(expected.away) },
    markets: markets(matrix),
    simulation: await monteCarlo(matrix),
  };
}
