"""How a page of a blind comparison looks and behaves: its style sheet and its script."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root{--ink:#1a1c1e;--soft:#5c636a;--line:#c9ced4;--paper:#fff;--panel:#f1f3f5;--accent:#1f5fae;--on:#fff;
color-scheme:light}
@media(prefers-color-scheme:dark){:root{--ink:#e9eaec;--soft:#a2a8b0;--line:#454b53;--paper:#14161a;
--panel:#23272d;--accent:#8dbbf7;--on:#10141a;color-scheme:dark}}
*{box-sizing:border-box}
[hidden]{display:none!important}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"Noto Sans",sans-serif;overflow-wrap:anywhere}
main{max-width:1240px;margin:0 auto;padding:18px 20px 40px}
header{display:grid;grid-template-columns:auto 1fr;gap:4px 18px;align-items:baseline}
h1{font-size:20px;line-height:1.2;margin:0}
h2{font-size:20px;line-height:1.35;font-weight:600;margin:16px 0 12px}
p{margin:0 0 8px}
.soft{color:var(--soft);font-size:14px;margin:0}
.bar{grid-column:1/3;height:6px;border-radius:3px;background:var(--panel);overflow:hidden}
.bar i{display:block;height:100%;width:0;background:var(--accent)}
.sides{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:16px}
figure{margin:0}
video{display:block;width:100%;aspect-ratio:16/9;max-height:56vh;background:#000;object-fit:contain;
border-radius:4px}
figcaption{text-align:center;font-weight:600;padding-top:4px}
fieldset{border:0;margin:14px 0 0;padding:0;min-width:0}
legend{font-weight:600;padding:0;margin-bottom:6px}
.choices{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:10px}
.choices input{position:absolute;opacity:0;pointer-events:none}
.choices label,button{display:flex;align-items:center;justify-content:center;gap:8px;min-height:46px;
padding:6px 12px;border:2px solid var(--line);border-radius:8px;background:var(--panel);color:var(--ink);
font:inherit;cursor:pointer;text-align:center}
.choices label:hover,button:hover{border-color:var(--accent)}
.choices input:checked+label{background:var(--accent);border-color:var(--accent);color:var(--on);
font-weight:600}
.choices input:focus-visible+label,button:focus-visible,video:focus-visible{
outline:3px solid var(--accent);outline-offset:2px}
section:focus{outline:none}
kbd{font:600 12px/1 ui-monospace,monospace;border:1px solid currentColor;border-radius:4px;padding:3px 6px;
opacity:.75}
nav{display:flex;flex-wrap:wrap;gap:10px;margin-top:20px}
#next{min-width:120px}nav .ready{background:var(--accent);border-color:var(--accent);color:var(--on);
font-weight:600}
#save{margin-left:auto}
button:disabled{opacity:.45;cursor:default;border-color:var(--line)}
.keys{margin-top:14px;line-height:2}
@media(max-width:640px){main{padding:12px 10px 30px}.sides{gap:8px}h2{font-size:18px}
.choices{gap:6px}.choices label{padding:6px 4px}.choices kbd{display:none}.keys{display:none}
#save{margin-left:0}nav button{flex:1 1 40%}}
"""

SCRIPT = """
(function(){
'use strict';
var main=document.querySelector('main'),page=main.dataset.page,store='montage-blind-'+page;
var pairs=[].slice.call(document.querySelectorAll('.pair')),end=document.getElementById('end');
var steps=pairs.concat([end]),now=0,urls=[];
var by={};['place','sum','back','next','play','save'].forEach(function(id){
by[id]=document.getElementById(id)});
function fresh(){var words=new Uint32Array(2);crypto.getRandomValues(words);
return words[0].toString(16)+words[1].toString(16)}
var state={person:fresh(),answers:{}};
try{var kept=JSON.parse(localStorage.getItem(store));
if(kept&&kept.person&&kept.answers)state=kept}catch(error){}
function keep(){try{localStorage.setItem(store,JSON.stringify(state))}catch(error){}}
function fields(step){return [].slice.call(step.querySelectorAll('fieldset'))}
function chosen(field){return field.querySelector('input:checked')}
function full(step){return fields(step).every(chosen)}
function still(){return matchMedia('(prefers-reduced-motion:reduce)').matches}
function clip(step,number){
var text=atob(step.querySelector('script[data-of="'+number+'"]').textContent);
var bytes=new Uint8Array(text.length);
for(var i=0;i<text.length;i++)bytes[i]=text.charCodeAt(i);
return URL.createObjectURL(new Blob([bytes],{type:'video/mp4'}))}
function videos(step){return [].slice.call(step.querySelectorAll('video'))}
function unload(step){videos(step).forEach(function(video){video.pause();video.removeAttribute('src');
video.load()});urls.forEach(function(url){URL.revokeObjectURL(url)});urls=[]}
function load(step){videos(step).forEach(function(video){var url=clip(step,video.dataset.clip);urls.push(url);
video.src=url});if(!still())play(step)}
function play(step){videos(step).forEach(function(video){video.currentTime=0;
var begun=video.play();if(begun)begun.catch(function(){})})}
function draw(){
var step=steps[now],done=pairs.filter(full).length,last=step===end;
by.place.textContent=last?'':'Pair '+(now+1)+' of '+pairs.length;
document.querySelector('.bar i').style.width=100*done/pairs.length+'%';
by.back.disabled=now===0;by.next.hidden=last;by.play.hidden=last;
by.next.classList.toggle('ready',!last&&full(step));
by.save.classList.toggle('ready',last);
by.next.textContent=now===pairs.length-1?'Finish':'Next';
by.sum.textContent='You answered '+done+' of '+pairs.length+' pairs.'+
(done<pairs.length?' Go back to answer the others, or save what there is.':'')}
function go(to,focus){
if(to<0||to>=steps.length)return;
unload(steps[now]);steps[now].hidden=true;now=to;steps[now].hidden=false;
if(steps[now]!==end)load(steps[now]);
draw();if(focus){steps[now].focus({preventScroll:true});scrollTo(0,0)}}
function answer(field,choice){
var pair=field.closest('.pair').dataset.pair;
state.answers[pair]=state.answers[pair]||{};state.answers[pair][field.dataset.question]=choice;keep();draw()}
function save(){
var list=[];
pairs.forEach(function(step,place){var given=state.answers[step.dataset.pair]||{};
fields(step).forEach(function(field){var choice=given[field.dataset.question];
if(choice)list.push({pair:step.dataset.pair,question:field.dataset.question,choice:choice,shown:place+1})})});
var text=JSON.stringify({montage_blind_answers:1,page:page,person:state.person,answers:list},null,1);
var link=document.createElement('a');
link.href=URL.createObjectURL(new Blob([text],{type:'application/json'}));
link.download='answers-'+page.slice(0,6)+'-'+state.person.slice(0,6)+'.json';
document.body.appendChild(link);link.click();link.remove()}
pairs.forEach(function(step,place){
step.setAttribute('aria-label','Pair '+(place+1)+' of '+pairs.length);
var given=state.answers[step.dataset.pair]||{};
fields(step).forEach(function(field){
[].forEach.call(field.querySelectorAll('input'),function(input){
input.checked=given[field.dataset.question]===input.value;
input.addEventListener('change',function(){answer(field,input.value)})})})});
by.back.addEventListener('click',function(){go(now-1,true)});
by.next.addEventListener('click',function(){go(now+1,true)});
by.play.addEventListener('click',function(){play(steps[now])});
by.save.addEventListener('click',save);
document.addEventListener('keydown',function(event){
if(event.ctrlKey||event.metaKey||event.altKey)return;
var step=steps[now],place='123'.indexOf(event.key),on=event.target.tagName;
if(place>=0&&event.key.length===1&&step!==end){
var open=fields(step).filter(function(field){return !chosen(field)});
var held=event.target.closest&&event.target.closest('fieldset');
var field=held&&!chosen(held)?held:open[0]||held;
if(!field)return;
var input=field.querySelectorAll('input')[place];
input.checked=true;answer(field,input.value);event.preventDefault();return}
var key=event.key.toLowerCase();
if(key==='enter'&&on!=='BUTTON'){event.preventDefault();go(now+1,true)}
else if(key==='b')go(now-1,true);
else if(key==='p'&&step!==end)play(step);
else if(key==='s')save()});
var open=pairs.findIndex(function(step){return !full(step)});
go(open<0?pairs.length:open,false);
})();
"""
