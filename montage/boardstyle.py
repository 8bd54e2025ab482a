"""How a storyboard looks: its style sheet, and a script for comfort only; the page reads the same without."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
.board{--ink:#1a1c1e;--soft:#5c636a;--line:#dcdfe3;--paper:#fff;--panel:#f5f6f8;--bad:#b3261e;
--badpaper:#fdeceb;
--good:#1b6e4a;--accent:#1f5fae;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
sans-serif;
color:var(--ink);background:var(--paper);padding:24px 20px 60px;font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){.board{--ink:#e9eaec;--soft:#a2a8b0;--line:#33383e;--paper:#14161a;
--panel:#1d2025;
--bad:#ff8f85;--badpaper:#3a1d1c;--good:#6fd3a3;--accent:#8dbbf7;color-scheme:dark}}
.board *{box-sizing:border-box}
.board .width{max-width:1240px;margin:0 auto}
.board h1{font-size:26px;line-height:1.2;margin:0 0 4px;font-weight:650}
.board h2{font-size:13px;font-weight:600;color:var(--soft);margin:36px 0 0;padding-bottom:6px;
border-bottom:1px solid var(--line)}
.board h3{font-size:13px;font-weight:600;color:var(--soft);margin:0 0 6px}
.board p{margin:0 0 6px}
.board a{color:var(--accent)}
.board a:focus-visible,.board summary:focus-visible,
.board input:focus-visible+label{outline:3px solid var(--accent);
outline-offset:2px;border-radius:3px}
.board .soft{color:var(--soft)}.board .bad{color:var(--bad)}.board .good{color:var(--good)}
.board .facts{display:flex;flex-wrap:wrap;gap:2px 22px;margin:6px 0 0;padding:0;list-style:none;
color:var(--soft)}
.board .facts b{color:var(--ink);font-weight:600}
.board .band{position:sticky;top:0;z-index:2;background:var(--paper);padding:12px 0 8px;margin-top:14px;
border-bottom:1px solid var(--line)}
.board .bar{display:flex;height:34px;gap:1px;border-radius:5px;overflow:hidden}
.board .bar a{flex:1 1 0;min-width:0;display:block;background:var(--by-match);color:#fff;font-size:11px;
line-height:34px;text-align:center;text-decoration:none;overflow:hidden;position:relative}
.board .bar a:hover{filter:brightness(1.15)}
.board .bar a:focus-visible{outline-offset:-3px;outline-color:#fff}
.board .bar a.broken::after{content:"";position:absolute;left:0;right:0;bottom:0;height:5px;
background:#e5484d}
.board .bar a.generated{border-bottom:4px dotted #fff}
.board .key.generated{background:#4b6a88;border-bottom:3px dotted #fff}.board .made{color:var(--soft)}
.board .bar a.gap{background:repeating-linear-gradient(-45deg,#9aa1a9 0 5px,#6d747c 5px 10px)}
.board .bar a.title{background:#50565d}
.board .bar a.now{box-shadow:inset 0 0 0 2px #fff}
.board .band input{position:absolute;opacity:0;pointer-events:none}
.board .band label{cursor:pointer;font-size:12px;color:var(--soft);padding:1px 6px;border-radius:4px}
.board .band input:checked+label{color:var(--ink);background:var(--panel);font-weight:600}
.board .by-source:checked~.bar a.shown{background:var(--by-source)}
.board .under{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:12px;color:var(--soft);padding-top:5px}
.board .key{display:inline-block;width:11px;height:11px;border-radius:2px;vertical-align:-1px;
margin-right:4px}
.board details{margin-top:10px}
.board summary{cursor:pointer;font-weight:600;font-size:14px}
.board table{border-collapse:collapse;width:100%;font-size:14px}
.board th{text-align:left;font-weight:600;color:var(--soft);font-size:12px}
.board td,.board th{padding:5px 14px 5px 0;vertical-align:top;border-bottom:1px solid var(--line)}
.board td.n,.board th.n{text-align:right;white-space:nowrap}
.board article{display:grid;grid-template-columns:minmax(200px,270px) minmax(0,1fr);gap:4px 26px;
padding:18px 0;border-bottom:1px solid var(--line);scroll-margin-top:104px;break-inside:avoid}
.board .says{font-size:16px;line-height:1.4;margin-bottom:6px}
.board .says .number{color:var(--soft);font-weight:600;margin-right:6px}
.board .slot{margin-bottom:18px;scroll-margin-top:104px;display:grid;gap:0 22px;
grid-template-columns:minmax(0,1fr) 236px;grid-template-rows:auto 1fr}
.board .slot:last-child{margin-bottom:0}
.board .strip{display:flex;gap:2px;background:#0b0c0d;padding:4px;border-radius:5px;max-width:100%;
justify-self:start;align-self:start;min-width:0}
.board .strip img{display:block;height:92px;width:auto;min-width:0;flex:0 1 auto;object-fit:contain}
.board .meta{font-size:13px;grid-column:2;grid-row:1/3}
.board .reasons{grid-column:1}
.board .meta b{font-weight:600}
.board .match{display:grid;grid-template-columns:auto 1fr auto;gap:1px 8px;align-items:center;font-size:12px;
margin:4px 0 6px;max-width:330px}
.board .track{height:7px;border-radius:4px;background:var(--line);overflow:hidden}
.board .fill{height:100%;background:var(--accent);border-radius:4px}
.board .whole{font-weight:600;font-size:13px}.board .whole+.track{height:9px}
.board .below{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:10px 26px;margin-top:10px}
.board .costs{list-style:none;margin:0;padding:0;font-size:13px}
.board .costs li{display:grid;grid-template-columns:46px minmax(0,1fr);gap:8px;padding:1px 0}
.board .costs .n{text-align:right}
.board .costs li.broken{background:var(--badpaper);border-radius:3px;box-shadow:inset 3px 0 0 var(--bad)}
.board .costs li.broken b{color:var(--bad)}
.board .minor{font-size:12px;color:var(--soft);margin-top:2px}
.board .others{list-style:none;margin:0;padding:0;display:grid;gap:6px;
grid-template-columns:repeat(auto-fill,minmax(240px,1fr))}
.board .others li{display:grid;grid-template-columns:88px minmax(0,1fr);gap:9px;font-size:12px;
line-height:1.35}
.board .others img{display:block;width:88px;height:50px;object-fit:contain;background:#0b0c0d;
border-radius:3px}
.board .others b{font-weight:600}
.board .note{font-size:13px;background:var(--panel);border-radius:5px;padding:6px 10px;margin-top:8px}
.board .facts .bad{font-weight:600}
.board .nothing,.board .card{justify-self:start;align-self:start}
.board .nothing{display:flex;align-items:center;justify-content:center;min-height:92px;padding:8px 22px;
border:2px dashed var(--bad);color:var(--bad);border-radius:5px;font-weight:600}
.board .card{display:flex;align-items:center;justify-content:center;min-height:92px;padding:8px 22px;
background:#101215;color:#fff;border:1px solid var(--line);
border-radius:5px;font-weight:600;text-align:center}
@media screen and (max-width:860px){.board{padding:16px 12px 40px}
.board article{grid-template-columns:minmax(0,1fr)}
.board .below,.board .slot{grid-template-columns:minmax(0,1fr)}.board .strip{width:100%}
.board .slot{grid-template-rows:none}.board .meta{grid-column:1;grid-row:auto;margin-top:6px}
.board .strip img{height:auto;flex:1 1 0}.board .bar{height:28px}.board .bar a{line-height:28px}
.board .wide{display:none}
.board .breaches,.board .breaches tbody,.board .breaches tr,.board .breaches td{display:block;border:0;
padding:0}
.board .breaches tr:first-child{display:none}.board .breaches tr{padding:6px 0;
border-bottom:1px solid var(--line)}
.board .breaches td.n{display:inline;text-align:left;padding-right:10px;color:var(--soft);font-size:13px}}
@page{size:A4;margin:13mm}
@media print{.board{--ink:#000;--soft:#444;--line:#ccc;--paper:#fff;--panel:#f3f3f3;--bad:#a3150d;
--badpaper:#fdeceb;
--good:#14573a;--accent:#1f4f8f;color-scheme:light;font-size:9pt;line-height:1.4;padding:0}
.board *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.board .band{position:static}.board .screen{display:none}.board h2{break-after:avoid;margin-top:14px}
.board h1{font-size:17pt}.board .bar{height:24px}.board .bar a{line-height:24px;font-size:7pt}
.board .slot{break-inside:avoid}.board article{grid-template-columns:38mm minmax(0,1fr);gap:2px 16px;
padding:9px 0}
.board .says{font-size:10pt}.board table,.board summary{font-size:9pt}
.board .strip{padding:2px}.board .strip img{height:46px}.board .meta{font-size:8pt;grid-row:1}
.board .slot{grid-template-columns:auto minmax(46mm,1fr);gap:0 12px}.board .reasons{grid-column:1/3}
.board .others{gap:4px 10px}
.board .below{gap:6px 16px;margin-top:6px}.board .costs,.board .note{font-size:8pt}
.board .match,.board .minor,.board .others li,.board th{font-size:7.5pt}
.board .whole,.board h3{font-size:8pt}.board .nothing,.board .card{min-height:50px}
.board .others{grid-template-columns:minmax(0,1fr);gap:4px}
.board .others li{grid-template-columns:40px minmax(0,1fr);gap:6px}.board .others img{width:40px;height:23px}
.board a{color:inherit;text-decoration:none}}
"""

SCRIPT = """
(function(){
var board=document.querySelector('.board');if(!board)return;
var items=[].slice.call(board.querySelectorAll('article'));
function top(){var band=board.querySelector('.band');return band?band.offsetHeight+12:12}
function here(){var edge=top()+20,now=-1;
items.forEach(function(item,i){if(item.getBoundingClientRect().top<=edge)now=i});return now}
document.addEventListener('keydown',function(event){
if(event.ctrlKey||event.metaKey||event.altKey||/^(INPUT|SUMMARY)$/.test(event.target.tagName))return;
var step=event.key==='j'?1:event.key==='k'?-1:0;if(!step)return;
var next=items[Math.max(0,Math.min(items.length-1,here()+step))];
if(next){event.preventDefault();next.scrollIntoView();next.focus({preventScroll:true})}});
var waiting=false;
function mark(){waiting=false;var now=items[here()];
board.querySelectorAll('.bar a').forEach(function(block){
block.classList.toggle('now',!!now&&block.dataset.of===now.id)})}
addEventListener('scroll',function(){if(!waiting){waiting=true;requestAnimationFrame(mark)}},{passive:true});mark();
})();
"""
