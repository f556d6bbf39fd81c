import { startRuntime,ADMIN_TOKEN,PATH } from "./runtime.mjs";
import { startOrigin } from "../examples/origin/server.mjs";
import { Client, percentile } from "./client.mjs";
const o=await startOrigin({settings:{latency:300}});
const r=await startRuntime({vars:{ORIGIN_URL:o.url,ROUTES:[{path:PATH,ttl:300}]}});
const c=new Client(r.url,{path:PATH,token:ADMIN_TOKEN});
const b=JSON.stringify({home_team:"Arsenal",away_team:"Chelsea",match_date:"2026-11-22"});
await c.ask(b);
for (let i=0;i<14;i++){ const a=await c.burst(100,b); const t=a.map(x=>x.ms); console.log(i, percentile(t,.5).toFixed(1), percentile(t,.99).toFixed(1)); }
await c.close(); await r.stop(); await o.close();
