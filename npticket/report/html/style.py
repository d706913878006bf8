"""How the page looks, dark or light, on a phone and on paper; and its only script, the slider over rounds."""

import base64
import hashlib

CSS = """
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--faint:#666;--rule:#ddd;--box:#f6f6f4}
body{margin:0 auto;padding:1rem;max-width:62rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem;line-height:1.25}h2{margin-top:2.5rem;border-bottom:1px solid var(--rule)}
h3,h4{margin:1.5rem 0 .25rem;font-size:1.05rem}h4{font-size:1rem}p{max-width:45rem;margin:.5rem 0}
a{color:inherit}.note,figcaption,small{color:var(--faint)}figcaption,small{font-size:.82rem}
pre{white-space:pre-wrap;font-size:.82rem;line-height:1.45;background:var(--box);padding:.75rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .8rem .2rem 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child{text-align:left}thead th{vertical-align:bottom}
.claims{list-style:none;padding:0}.claims li{padding:.5rem 0;border-bottom:1px solid var(--rule);max-width:52rem}
.status{display:inline-block;border:1px solid;border-radius:.2rem;padding:0 .4rem;margin-right:.4rem;font-size:.8rem;
font-weight:600}.status.holds{background:var(--ink);color:var(--paper);border-color:var(--ink)}
.status.fails{border-width:2px}.status.open{border-style:dashed;color:var(--faint)}.claims small{display:block}
figure{margin:0}.drawing{overflow-x:auto;margin:1rem 0}.drawing svg{max-width:100%;height:auto}
.rounds{background:var(--box);padding:.5rem 1rem;margin:1rem 0}summary{cursor:pointer;font-weight:600}
.rounds.sliding summary{display:none}
.slider{position:sticky;top:0;z-index:1;background:var(--box);padding:.5rem 0;max-width:none}
.slider input{width:100%;margin:.5rem 0}
.row{display:flex;flex-wrap:wrap;gap:.75rem}.row figure{flex:none}
.row img{display:block;width:8.5rem;height:auto;min-height:.5rem;image-rendering:pixelated;border:1px solid var(--rule);
background:var(--paper)}.units img{width:4.75rem}.filters img{width:2.6rem}
nav a{margin-right:1.2rem}
.chart{width:17rem;max-width:100%}.chart svg{width:100%;height:auto;background:var(--paper)}
.chart text{font-size:10px;fill:var(--faint)}
.chart path{fill:none;stroke:currentColor;stroke-width:1.5}.chart path.all{fill:#8886;stroke:none}
.chart path.start,.key.start{stroke:#0072b2;border-color:#0072b2}
.chart path.end,.key.end{stroke:#d55e00;border-color:#d55e00;stroke-dasharray:4 2}
.chart path.axis{stroke:var(--faint);stroke-width:.5}.keys span{margin-right:1.2rem;white-space:nowrap}
.key{display:inline-block;width:1.8rem;border-top:3px solid;margin:0 .4rem .25rem 0;vertical-align:middle}
.key.all{border-top:.7rem solid #8886}.key.end{border-top-style:dashed}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e4e4e0;--paper:#161616;--faint:#a0a09a;--rule:#3a3a38;--box:#1f1f1f}
.drawing svg,.inks{filter:invert(1) hue-rotate(180deg)}.row .inks{background:#e9e9e9;border-color:#c5c5c7}
.chart path.start,.key.start{stroke:#56b4e9;border-color:#56b4e9}
.chart path.end,.key.end{stroke:#ff9d5c;border-color:#ff9d5c}}
@media print{body{max-width:none;padding:0;font-size:10pt}.slider input,nav{display:none}.slider{position:static}
.rounds{padding:0}figure,tr,.claims li{break-inside:avoid}h2,h3,h4{break-after:avoid}.wide{overflow:visible}
.drawing{overflow:visible}.drawing svg{min-width:0!important}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""

# Without scripts, each round can be opened and closed by itself.
SCRIPT = """
for (const box of document.querySelectorAll(".rounds")) {
  const rounds = [...box.querySelectorAll("details")], slider = box.querySelector("input");
  const said = box.querySelector("output");
  const show = () => {
    rounds.forEach((round, i) => { round.open = true; round.hidden = i != slider.value; });
    said.textContent = rounds[slider.value].querySelector("summary").textContent;
  };
  box.classList.add("sliding");
  box.querySelector(".slider").hidden = false;
  slider.addEventListener("input", show);
  show();
}
"""

# Nothing is loaded from elsewhere, and no other script runs, even if one got into the page.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
)
