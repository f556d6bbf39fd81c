// The settings, under the names that docs/settings.md and wrangler.toml use. The Worker checks them when it starts, and
// refuses what is out of range with a sentence.

/** How long entries live and how they are refreshed. Times are seconds. */
export interface CacheSettings {
  /** Seconds that an entry is fresh: 0.1 to a year. Default 300. */
  ttl?: number;
  /** Seconds after expiry in which an entry is served at once while a refresh runs. Default 3600. */
  stale_while_revalidate?: number;
  /** Seconds after expiry in which an entry is served if the computation fails. Default 86400. */
  stale_if_error?: number;
  /** How early entries are refreshed: `"auto"`, or 0.01 to 100 (1 is the paper's). Default `"auto"`. */
  beta?: "auto" | number;
  /** For `auto`: the share of cycles in which the new value may arrive after expiry. Default 0.01. */
  late_share?: number;
  /** For `auto`: the largest beta. Default 6. */
  max_beta?: number;
  /** The share of the TTL before expiry in which an early refresh may begin. Default 0.5. */
  early_window?: number;
  /** Seconds that one computation may take: 0.1 to 20. Default 15. */
  origin_timeout?: number;
  /** Largest request body in bytes, at most 262,144. Default 65,536. */
  max_request?: number;
  /** Largest answer in bytes, at most 1,048,576. Default 1,048,576. */
  max_response?: number;
  /** Seconds that a 4xx answer is remembered. Default 0. */
  negative_ttl?: number;
  /** Seconds that a key goes uncached after an answer that must not be stored. Default 10. */
  pass_ttl?: number;
  /** Requests that may wait for one key. Default 1000. */
  max_waiters?: number;
  /** Computations at once in one isolate. Default 50. */
  max_origin_calls?: number;
}

/** How a client is verified: exactly one way. The repository's `docs/credentials.md` explains each. */
export type VerifySettings =
  | {
      /** By the signature and the claims of a token; without `jwks_url` by the secret `JWT_SECRET`. */
      jwt: {
        jwks_url?: string;
        algorithms: readonly string[];
        issuer: string | readonly string[];
        audience: string | readonly string[];
        tenant?: string;
        leeway?: number;
        header?: string;
        jwks_ttl?: number;
        jwks_stale?: number;
      };
    }
  | {
      /** By the SHA-256 of an API key in the secret `API_KEYS`. */
      keys: { header?: string };
    }
  | {
      /** By the handler's answer to the credential alone. */
      origin: {
        path: string;
        method?: "HEAD" | "GET";
        header?: string;
        verify_ttl?: number;
        verify_stale?: number;
        refused_ttl?: number;
        tenant_header?: string;
      };
    }
  | {
      /** By a proxy in front, which proves itself by the secret `PROXY_TOKEN`. */
      proxy: { token_header?: string; tenant_header?: string };
    }
  | {
      /** By the properties of the service binding that the request came through. */
      props: { tenant?: string };
    };

/** A cached path. */
export interface RouteSettings extends CacheSettings {
  /** The path, matched exactly, or a prefix such as `/articles/*`; the most specific path wins. */
  path: string;
  /** The methods whose answers are cached; `HEAD` comes with `GET`. Default `["POST"]`. */
  methods?: readonly ("GET" | "QUERY" | "POST")[];
  /**
   * Whose times count: `"route"` for those of this route, `"origin"` for those of the answer's headers. Default `"route"`,
   * and `"origin"` if `GET` is the only method.
   */
  policy?: "route" | "origin";
  /** For policy `"origin"`: `"all"` gives the handler all end-to-end headers of the request. Default `"route"`. */
  forward?: "route" | "all";
  /** For policy `"origin"`: the share of the time since `Last-Modified` for which an answer is fresh. Default 0.1. */
  heuristic?: number;
  /** For policy `"origin"`: the longest such freshness, in seconds. Default 86400. */
  heuristic_most?: number;
  /** For policy `"origin"`: variants of a key that one isolate caches in an hour. Default 32. */
  max_variants?: number;
  /** For `GET`: the names of the parameters that are part of the key, `"all"` or `"none"`. Default `"all"`. */
  query?: readonly string[] | "all" | "none";
  /** What happens to other parameters: the request gets 400, or they are dropped. Default `"refuse"`. */
  query_other?: "refuse" | "drop";
  /** The types of answers that are stored, such as `"text/*"`. Default `["application/json"]`. */
  content_types?: readonly string[];
  /** `"json"`: spellings of the same JSON are one key. `"raw"`: bytes, with their type. Default `"json"`. */
  body?: "json" | "raw";
  /** The only parts of a body that are allowed, all part of the key: names, or JSON pointers. Default: all of it. */
  fields?: readonly string[];
  /** Instead of `fields`: the parts of a body that are neither part of the key nor sent. Everything else is keyed. */
  ignore?: readonly string[];
  /** Request headers that the handler gets, and that are therefore part of the key. */
  headers?: readonly string[];
  /** Whether a request's `Cache-Control` counts: any client can then make the handler compute. Default `"ignore"`. */
  request_directives?: "ignore" | "honour";
  /**
   * What happens to requests with credentials: they go to the handler uncached, get 403, lose them, are verified before
   * anything else, or, with `forward: "all"` or `scope: "credential"`, keep them.
   */
  credentials?: "bypass" | "refuse" | "ignore" | "origin" | "verify";
  /** Request headers that count as credentials, besides `Authorization` and `Cookie`. Default `["x-api-key"]`. */
  credential_headers?: readonly string[];
  /** For `credentials: "verify"`: how a client is verified. Secrets are read from the environment. */
  verify?: VerifySettings;
  /** With whom entries are shared: all clients, those of a tenant, or one credential. Default `"none"`. */
  scope?: "none" | "tenant" | "credential";
  /** For `scope: "tenant"`: the header in which the handler gets the tenant. */
  send_tenant?: string;
  /** A rate-limiting binding of the platform, counted by tenant or by client address. */
  rate_limit?: { binding: string; by: "tenant" | "address"; period: 10 | 60 };
  /** Requests of a tenant, a minute and an isolate, for keys that its memory does not hold. */
  max_new_keys?: number;
  /** The `Cache-Control` of answers. Default `"no-cache"`. */
  cache_control?: string;
}

/** Settings of the whole Worker. Those that are left out are read from the environment, under the same names. */
export interface WorkerSettings {
  /** Part of every key: another version begins with an empty cache. Default `"1"`. */
  CACHE_VERSION?: string;
  /** Origins whose pages may read the answers: a list, one origin, or `"*"`. */
  CORS_ORIGINS?: readonly string[] | string;
  /** Seconds that an isolate gathers counters. Default 10. */
  FLUSH_INTERVAL?: number;
  /** Where new Durable Objects should live. */
  LOCATION_HINT?: "wnam" | "enam" | "sam" | "weur" | "eeur" | "apac" | "oc" | "afr" | "me";
  /** Bytes of entries in one isolate's memory: 65,536 to 67,108,864. */
  MEMORY_BYTES?: number;
}
