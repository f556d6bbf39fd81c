// The whole cache, configured by wrangler.toml.
export { default, Metrics, RefreshLease } from "xfetch-edge";
