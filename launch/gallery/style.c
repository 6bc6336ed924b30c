/* How the gallery looks. Colours are the page's: --ink, --paper, --muted, --line, --accent, --c0 to
 * --c9. */
#include "launch/gallery/parts.h"

/* A shelf: a sample on the left, pictures beside it. Neighbours with its label have a line around
 * them and a tick, others a broken line and a cross. */
static const char shelves[] =
    ".pictures ol,.pictures ul{list-style:none;margin:0;padding:0}\n"
    ".pictures .shelf{display:grid;grid-template-columns:6rem minmax(0,1fr);gap:0 1.2rem;"
    "padding:.9rem 0;border-top:1px solid var(--line);font-size:12.5px;line-height:1.4}\n"
    ".pictures .shelf:first-of-type{margin-top:.8rem}\n"
    ".pictures .shelf ol{display:grid;grid-template-columns:repeat(10,minmax(0,1fr));"
    "gap:.6rem .5rem;max-width:62rem;align-content:start}\n"
    ".pictures img{display:block;width:100%;height:auto}\n"
    ".pictures .shelf b,.pictures .shelf span{display:block;overflow:hidden;"
    "text-overflow:ellipsis;white-space:nowrap}\n"
    ".pictures .shelf b{font-weight:400}\n"
    ".pictures .shelf span{color:var(--muted)}\n"
    ".pictures .shelf .first b{margin-top:.3rem;font-size:14px;font-weight:600;line-height:1.25}\n"
    ".pictures .shelf .first b,.pictures .shelf .first span{white-space:normal;"
    "overflow-wrap:anywhere}\n"
    ".pictures .neighbours img{box-sizing:border-box;margin-bottom:.2rem;padding:2px;"
    "border:2px solid transparent}\n"
    ".pictures .same img{border-color:var(--accent)}\n"
    ".pictures .other img{border:2px dashed var(--line)}\n"
    ".pictures .shelf .same span{color:var(--ink)}\n"
    ".pictures .mark{display:inline-block;width:.7em;height:.7em;margin-right:.3em;"
    "overflow:visible;fill:none;stroke:var(--muted);stroke-width:1.5}\n"
    ".pictures .same .mark{stroke:var(--accent);stroke-width:2.2}\n"
    ".pictures .views{display:grid;gap:0 2.5rem;margin-top:.8rem;"
    "grid-template-columns:repeat(auto-fill,minmax(min(100%,36rem),1fr))}\n"
    ".pictures .views .shelf{margin:0}\n"
    ".pictures .shelf .pairs{grid-template-columns:repeat(3,minmax(0,10rem));gap:.8rem 1.2rem}\n"
    ".pictures .pairs li{display:grid;grid-template-columns:1fr 1fr;gap:3px}\n"
    "@media(max-width:64rem){.pictures .shelf .neighbours{"
    "grid-template-columns:repeat(auto-fill,minmax(4.6rem,1fr))}}\n"
    "@media(max-width:32rem){.pictures .shelf{grid-template-columns:4.6rem minmax(0,1fr);"
    "gap:0 .8rem}.pictures .shelf .pairs{grid-template-columns:repeat(2,minmax(0,1fr));"
    "gap:.6rem .8rem}}\n";

/* Beside the whole map, or below it, the small ones. */
static const char maps[] =
    ".pictures .map{display:grid;gap:1rem 2rem;margin-top:.8rem;"
    "grid-template-columns:minmax(0,44rem)}\n"
    "@media(min-width:75rem){.pictures .map{grid-template-columns:minmax(0,44rem) minmax(0,1fr)}"
    "}\n"
    ".pictures .map svg{display:block;width:100%;height:auto;box-sizing:border-box;"
    "overflow:visible;border:1px solid var(--line);fill:none;stroke:var(--line);"
    "stroke-linecap:round;stroke-width:4px}\n"
    ".pictures .whole svg>use{stroke-opacity:.8}\n"
    ".pictures .map svg>.rest{stroke-opacity:.4}\n"
    ".pictures .axis{margin:.2rem 0;font-size:12.5px;color:var(--muted)}\n"
    ".pictures .end{text-align:right}\n"
    ".pictures .classes{display:grid;grid-template-columns:repeat(auto-fill,minmax(7rem,1fr));"
    "gap:1rem;align-content:start;margin-top:1.6rem;font-size:12.5px;color:var(--muted)}\n"
    ".pictures .classes svg{stroke-width:2.5px}\n"
    ".pictures .classes span{display:block;margin-top:.2rem;overflow:hidden;"
    "text-overflow:ellipsis;white-space:nowrap}\n"
    ".pictures .classes b{font-weight:400;color:var(--ink)}\n"
    ".pictures .classes i{display:inline-block;width:.75em;height:.75em;margin-right:.4em;"
    "border:0;border-radius:50%;vertical-align:baseline}\n";

void pl_gallery_style(FILE *out) { fprintf(out, "<style>\n%s%s</style>\n", shelves, maps); }
