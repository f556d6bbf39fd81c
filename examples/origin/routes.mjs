// The routes of the example origin that need secrets: wrangler.toml has none of them, because a deployment must set its own.

/** The forecast, for clients with an API key of the example origin; each tenant has entries of its own. */
export const FORECAST = {
  path: "/api/v1/brain/forecast",
  fields: ["home_team", "away_team", "match_date"],
  ttl: 60,
  credentials: "verify",
  verify: { origin: { path: "/me", header: "x-api-key", tenant_header: "x-org", verify_ttl: 60 } },
  scope: "tenant",
  send_tenant: "x-tenant",
};
