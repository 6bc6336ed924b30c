/* The page around its content: style and script, both inside, as the page is one file. */
#include "launch/report/html.h"
#include "launch/report/page.h"

/* The ten colours can be told apart also by eyes that do not see red from green: any two of them
 * stay at least 19 units of CIELAB apart in the model of Machado et al. (2009) for either kind. */
static const char colours[] =
    ":root{color-scheme:light dark;--ink:#1a2129;--paper:#fff;--muted:#5c6773;--line:#dfe4e9;"
    "--accent:#0b6bb3;--soft:#f5f7f9;"
    "--c0:#0b6bb3;--c1:#e08214;--c2:#26b873;--c3:#a15775;--c4:#52c0f8;--c5:#716f30;--c6:#4015b1;"
    "--c7:#441c06;--c8:#b5b5c4;--c9:#1f2a36}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e9ee;--paper:#12171c;--muted:#96a2ae;"
    "--line:#2a333c;--accent:#5fadec;--soft:#1a2128;"
    "--c0:#5fadec;--c1:#f0993e;--c2:#45e08c;--c3:#b34295;--c4:#86eefe;--c5:#956420;--c6:#8579ff;"
    "--c7:#b0645e;--c8:#94abaa;--c9:#d5ecdc}}\n";

static const char style[] =
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",\"Noto Sans\",sans-serif;"
    "font-variant-numeric:tabular-nums}\n"
    "main{max-width:1320px;margin:0 auto;padding:28px 20px 60px}\n"
    "h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}\n"
    "h2{font-size:17px;margin:40px 0 10px}\n"
    "p{margin:4px 0}\n"
    "code,pre{font-family:ui-monospace,\"DejaVu Sans Mono\",Menlo,monospace;font-size:.87em}\n"
    "small,.state,.note{color:var(--muted);overflow-wrap:anywhere}\n"
    ".figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));"
    "gap:18px 20px;margin:24px 0 36px}\n"
    ".figures div{border-top:2px solid var(--line);padding-top:6px}\n"
    ".figures dt{color:var(--muted);font-size:13px}\n"
    ".figures dd{margin:0;font-size:22px;font-weight:600;line-height:1.3}\n"
    ".figures small{display:block;font-size:12px;font-weight:400;min-height:1.3em}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,350px),1fr));"
    "gap:28px 26px}\n"
    ".chart{margin:0;min-width:0}\n"
    "figcaption{line-height:1.35;margin-bottom:4px}\n"
    "figcaption output{float:right;padding-right:3.5%}\n"
    "figcaption span{display:block;color:var(--muted);font-size:12.5px;min-height:1.35em}\n"
    ".chart svg{display:block;width:100%;height:auto;overflow:visible;touch-action:pan-y}\n"
    ".chart text{font-size:11.5px;fill:var(--muted)}\n"
    "text.value{text-anchor:end}\n"
    "text.time{text-anchor:middle}\n"
    "line.grid{stroke:var(--line)}\n"
    "path.axis{fill:none;stroke:var(--muted)}\n"
    "path.curve,path.faint{fill:none;stroke:var(--of);stroke-width:1.6;stroke-linejoin:round;"
    "stroke-linecap:round}\n"
    "path.faint{stroke-width:.8;opacity:.3}\n"
    "path.dashed{stroke-dasharray:5 3}\n"
    "path.layer{fill:var(--of);fill-opacity:.85;stroke:var(--paper);stroke-width:.4}\n"
    "path.mark{fill:none;stroke:var(--ink);stroke-dasharray:2 3;opacity:.75}\n"
    "path.cursor{fill:none;stroke:var(--muted)}\n"
    "circle.dot{fill:var(--of)}\n"
    ".legend{list-style:none;display:flex;flex-wrap:wrap;gap:0 14px;margin:2px 0 0;"
    "padding:0 0 0 11%;font-size:12.5px}\n"
    ".chart .parts{display:grid;grid-template-columns:1fr 1fr;gap:0 10px;white-space:nowrap;"
    "padding-left:6%}\n"
    ".bar{display:flex;width:100%;min-width:260px;height:14px}\n"
    ".bar span{background:var(--of);border-right:1px solid var(--paper)}\n"
    "td.bars{width:70%;padding-right:0}\n"
    "td small{display:block}\n"
    ".scroll+.legend{padding:8px 12px}\n"
    ".legend output,.legend span{color:var(--muted)}\n"
    ".legend i,td i{display:inline-block;width:14px;height:0;border-top:3px solid var(--of);"
    "margin-right:6px;vertical-align:middle}\n"
    "i.dashed{border-top-style:dashed}\n"
    "i.mark{display:inline-block;height:14px;border-left:1px dashed var(--ink);margin-right:8px;"
    "vertical-align:middle}\n"
    ".note{margin-top:14px;font-size:13px}\n"
    "h1+section{margin:18px 0 36px}\n"
    ".scroll{overflow:auto;max-height:460px;border:1px solid var(--line)}\n"
    "table{border-collapse:collapse;width:100%;font-size:13.5px}\n"
    "th,td{text-align:right;padding:5px 12px;border-bottom:1px solid var(--line);"
    "white-space:nowrap}\n"
    "tbody tr:last-child td{border-bottom:0}\n"
    "th{position:sticky;top:0;background:var(--soft);font-weight:600;font-size:12.5px}\n"
    "tfoot td{font-weight:600;background:var(--soft);border-top:1px solid var(--line)}\n"
    ".words{text-align:left}\n"
    ".good{color:var(--c2)}.bad{color:var(--c1)}\n"
    "summary{cursor:pointer;font-size:17px;font-weight:600}\n"
    "section>details{margin-top:40px}\n"
    "pre{overflow:auto;border:1px solid var(--line);background:var(--soft);padding:12px 14px}\n";

/* Under the pointer: a line, and the values of the curves there in the legend. They are read back
 * from the paths, whose points lie in the frame that data-plot tells. */
static const char script[] =
    "document.querySelectorAll('svg[data-plot]').forEach(svg=>{\n"
    " const[l,t,w,h,x0,x1,y0,y1,log,second]=svg.dataset.plot.split(' ').map(Number);\n"
    " const figure=svg.parentNode,unit=figure.querySelector('figcaption span'),"
    "told=unit.textContent;\n"
    " const outputs=[...figure.querySelectorAll('output')],values=outputs.map(o=>o.textContent);\n"
    " const show=v=>String(+v.toPrecision(4)).replace('-','\\u2212');\n"
    " const curves=[...svg.querySelectorAll('path.curve')].map(p=>\n"
    "  [...p.getAttribute('d').matchAll(/(-?[\\d.]+) (-?[\\d.]+)/g)].map(m=>[+m[1],+m[2]]));\n"
    " const line=document.createElementNS(svg.namespaceURI,'path');\n"
    " line.setAttribute('class','cursor');svg.append(line);\n"
    " svg.addEventListener('pointermove',e=>{\n"
    "  const box=svg.getBoundingClientRect(),"
    "at=(e.clientX-box.left)/box.width*svg.viewBox.baseVal.width;\n"
    "  const x=Math.min(l+w,Math.max(l,at)),time=x0+(x-l)/w*(x1-x0);\n"
    "  line.setAttribute('d',`M${x} ${t}v${h}`);\n"
    "  unit.textContent=second?`step ${Math.round(time)}, epoch ${show(time*second)}`"
    ":`at ${show(time)}`;\n"
    "  curves.forEach((c,i)=>{\n"
    "   const p=c.reduce((a,b)=>Math.abs(b[0]-x)<Math.abs(a[0]-x)?b:a),s=1-(p[1]-t)/h;\n"
    "   outputs[i].textContent=show(log?y0*Math.pow(y1/y0,s):y0+s*(y1-y0));\n"
    "  });\n"
    " });\n"
    " svg.addEventListener('pointerleave',()=>{\n"
    "  line.removeAttribute('d');unit.textContent=told;\n"
    "  outputs.forEach((o,i)=>o.textContent=values[i]);\n"
    " });\n"
    "});\n";

void pl_report_head(FILE *page, const char *title) {
  fputs(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
      page);
  pl_html_text(page, title);
  fprintf(page, " \xC2\xB7 plenum</title>\n<style>\n%s%s</style>\n</head>\n<body>\n<main>\n",
          colours, style);
}

void pl_report_foot(FILE *page) {
  fprintf(page, "</main>\n<script>\n%s</script>\n</body>\n</html>\n", script);
}
