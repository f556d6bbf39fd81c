// Seeded random numbers, so that every peer gets the same arrivals.

import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

export class Chance {
  constructor(seed) {
    this.generator = xoroshiro128plus(seed);
  }

  /** Uniform in [0, 1). */
  uniform() {
    return uniformFloat64(this.generator);
  }

  normal() {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  exponential(mean) {
    return -Math.log(1 - this.uniform()) * mean;
  }
}
