#!/usr/bin/env python3
"""Writes tests/parity/tokens/{merges.txt,cases.bin}: what open_clip's SimpleTokenizer makes of the
texts below, with a small vocabulary that is trained here and with CLIP's own.
tests/unit/test_tokenizer.c compares the first, tests/unit/test_tokenizer_clip.c the second.

Needs the Python packages ftfy and regex, the file tokenizer.py of open_clip 3.3 and CLIP's list of
merges. Made with Python 3.11 (Unicode 14), ftfy 6.3.1, regex 2026.11.15.
Run: tokens_reference.py TOKENIZER.PY BPE_SIMPLE_VOCAB_16E6.TXT.GZ

Layout of cases.bin, little endian: int32 number of cases; per case int32 bytes, the text, int32 number
of ids of the small vocabulary, the ids, int32 number of CLIP's ids, the ids.
"""
import collections
import gzip
import importlib.util
import os
import random
import shutil
import struct
import sys
import tempfile
import types
import unicodedata

import ftfy

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokens")
MERGES = 600

TRAINING = """A brown dog runs across the wet sand with a stick in its mouth.
Two children are building a castle out of sand near the water.
The woman in the yellow coat is waiting for the last bus of the evening.
An old man's hands hold a cup of tea; he doesn't look up.
They're standing in front of a bakery that hasn't opened yet.
Three cyclists race past a crowd that is cheering from behind a fence.
The cat's asleep on the windowsill, and it isn't going to wake up soon.
I've never seen so many boats in the harbour, we'll count them tomorrow.
A girl wearing red boots jumps over a puddle while her brother is watching.
Somebody left 12 oranges, 3 lemons and 45 apples on the kitchen table!
A train crosses the bridge above the river in the early morning fog.
The band is playing on a small stage; people are dancing all around it.
She'd rather walk through the forest than take the road along the coast.
A photo of a mountain. A drawing of a bicycle. A picture of the night sky.
Workers in orange vests are repairing the roof of the railway station.
Ein Café an der Straße, très charmant; el niño está allí.
Где находится большая библиотека? Она находится за углом.
海の近くの小さな町で、子供たちが遊んでいます。 城市里的老房子。
Smile 😀😀 and wave 👋🏽, the flag 🇩🇪 is up."""

TEXTS = [
    "", " ", "\t\n \r\n", "a", "A", "the", "The dog's running, isn't it?", "Hello, World!",
    "it's don't we're I've I'm they'll he'd", "IT'S DON'T WE'RE I'VE I'M THEY'LL HE'D",
    "'sup 'store 'tis ''s '''ll rock'n'roll", "it\u2019s don\u2018t we\u02bcre \u201cquoted\u201d",
    "'\u017f '\u017ftore \u017f '\u017f'S", "2 cats, 123 dogs; 3.14 = pi", "1st 2nd 10th x2y3",
    "½ ² ³ Ⅷ ⅷ ٣ 𝟘 ①", "a  photo \t of\u00a0a\u2003cat\u3000.", "\u2028one\u2029two\u0085three\x0cfour",
    "<start_of_text>a dog<end_of_text>", "<START_OF_TEXT> <End_Of_Text>", "x<start_of_text>!<end_of_text>",
    "<\u017ftart_of_text> <start_of_text", "<|startoftext|> <|endoftext|>", "naïve café, crème brûlée",
    "NAÏVE CAFÉ STRASSE STRAßE ẞ", "e\u0301 e\u0323\u0302 e\u0302\u0323 n\u0303 a\u0308\u0304",
    "\u0301 \u0301a \u1100\u1161\u11a8 \u0958 \u2126 \u212b \u212a", "q\u0307\u0323 q\u0323\u0307 \U0001d15e",
    "\u0345 a\u0345b \u03b1\u0345 !\u0345!", "ΟΔΟΣ ΣΑΣ Σ ΑΣ. ΑΣ.Β Α'Σ' ΑΣ\u0301 ΑΣ\u0301Β \u2160Σ \u00aaΣ",
    "İstanbul DİYARBAKIR ıI", "Ǆ ǅ ǆ Ǉ ǈ Ĳssel ĳs ŉ ﬁn ﬂow oﬀ oﬃce aﬄuent ﬅ ﬆ",
    "ＦＵＬＬ　ｗｉｄｔｈ １２３ ！？＆ａｍｐ；", "ﾊﾝｶｸ ｶﾞｷﾞﾊﾟ ￣ ￦ ￥ ﾡ ￩", "海の近く 城市里的老房子 子供たちが遊ぶ 한국어 ไทย हिन्दी",
    "Где библиотека? ПРИВЕТ", "مرحبا بالعالم שלום", "😀 👋🏽 👩\u200d👩\u200d👧\u200d👦 🇩🇪🇫🇷 ❤\ufe0f ☃",
    "snow☃man _under_score #tag @name http://a.b/c?d=e&f=g", "C++ C# .NET a/b/c (x) [y] {z} ~ ` ^ | \\",
    "zero\u200bwidth \u200d \u200c \u2060 \u00ad soft", "tag\U000e0067\U000e007f \ue000 \U0010fffd \ufffd \ufffe \uffff",
    "\ufeffbyte order mark \ufffaanchor \ufffc \u206a", "bell\x07 zero\x00 tab\tvert\x0bfile\x1csep\x1funit\x7f",
    "\x1b[31mred\x1b[0m \x1b[ \x1b[1;2x \x1bm \x1b[٣m \x1b\x1b[0m[0m", "\x80\x85\x8a\x91it\x92s\x93\x94\x96 \x81\x8d\x90",
    "&amp; &lt;b&gt; &quot;x&quot; &apos;s", "&amp;amp; &amp;lt; &amp;amp;amp;amp;gt;", "&amp" * 3, "&amp;" * 9,
    "&eacute; &Eacute; &EACUTE; &SZLIG; &MICRO; &NTILDE; &nTILDE; &SIGMAF;", "&eacute &copy 2020 &notit; &notin; &not",
    "&GTDOT; &LTDOT; &AMPX; &COPYX; &frac12; &FRAC12; &fjlig; &NotEqualTilde; &NGE;",
    "&CounterClockwiseContourIntegral; <&CounterClockwiseContourIntegral; &CounterClockwiseContourIntegralx;",
    "&#65; &#x41; &#X41; &#0065 &#65x &#x41g &#65;&#66;", "&#0; &#128; &#x80; &#x9f; &#129; &#13; &#11; &#28;x &#127;",
    "&#55296; &#xDFFF; &#1114112; &#99999999999999999999; &#x110000;", "&#59; &#38;amp; &amp;#38; &#38;#38;#59;", "&eacute&#59; &eacute&semi;",
    "& && &; &# &#; &#x; &#xg; &a; &unknown; &unknown", "<b>&amp;&eacute;&rsquo;</b>", "< &EACUTE; &eacute &amp;amp;amp;",
    "one &amp;eacute;\n<p> &amp;eacute;\nthree &amp;amp;eacute;", "<\n&rsquo; \u2019", "&rsquo;s &lsquo;t &#8217;ll &#x2019;d &ldquo;",
    "&nbsp;a&nbsp;&nbsp;b&nbsp;", "&zwj; &shy; &Tab; &NewLine;x", "＆eacute; &eacute； &eacute\u037e", "&bsol;&num;65&semi; &#&#54;5;",
    "e&#769; A&#778; &#x1100;&#x1161;", "< e&#769; &#xFB01; &#xFF21;", "&#120120; &Aopf; &Jscr; &check;",
    "a" * 40, "a" * 300, "ab" * 100, "ha" * 31, "!" * 100, "7" * 50, "the" * 30, "é" * 60, "😀" * 30, "a'" * 20,
    "supercalifragilisticexpialidocious antidisestablishmentarianism", "x" * 29 + " " + "x" * 30 + " " + "x" * 31,
    "the dog the dog the dog " * 20,
] + TRAINING.split("\n") + [TRAINING, TRAINING.upper()]

PIECES = ["&", "&amp;", "&#", "&#x", "&lt;", ";", "amp;", "<", "\n", "\x1b[", "'s", "'ll", "'", "Σ", "ſ", "＆", "；",
          "<start_of_text>", " ", "é", "&eacute", "&#39;", "ﬅ", "ａｍｐ", "&NBSP;", "the ", "Dog", "12", "ΟΔΟΣ"]


def random_text(draw, characters, marks):
    text = ""
    for _ in range(draw.randint(1, 12)):
        kind = draw.random()
        if kind < .5:
            text += draw.choice(PIECES)
        elif kind < .7:
            text += chr(draw.choice(characters))
        else:
            text += draw.choice("aeinoAEINO") + "".join(chr(draw.choice(marks)) for _ in range(draw.randint(1, 4)))
    return text


def random_texts(count):
    draw = random.Random(1)
    known = [c for c in range(0x20, 0x30000)
             if unicodedata.category(chr(c)) not in ("Cn", "Co", "Cs")]
    marks = [c for c in known if unicodedata.combining(chr(c))]
    return [random_text(draw, known, marks) for _ in range(count)]


def is_mojibake(text):
    """Whether ftfy repairs its encoding, which we don't."""
    return ftfy.fix_text(text) != ftfy.fix_text(text, ftfy.TextFixerConfig(explain=False, fix_encoding=False))


def load_open_clip(path, merges):
    """Its tokenizer.py alone; torch and numpy are only needed for what is not used here. It builds a
    tokenizer from a file beside it when loaded."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, folder)
        shutil.copy(merges, os.path.join(folder, "bpe_simple_vocab_16e6.txt.gz"))
        for name in ("torch", "numpy"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["torch"].Tensor = sys.modules["torch"].LongTensor = object
        spec = importlib.util.spec_from_file_location("clip_tokenizer", os.path.join(folder, "tokenizer.py"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def train(clip):
    """Plain byte-pair encoding: again and again the most frequent pair, of equals the smallest."""
    words = collections.Counter()
    for word in clip.pat.findall(clip.clean_fn(TRAINING)):
        symbols = [clip.byte_encoder[b] for b in word.encode()]
        words[tuple(symbols[:-1]) + (symbols[-1] + "</w>",)] += 1
    merges = []
    while len(merges) < MERGES:
        pairs = collections.Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = collections.Counter({merge(word, best): count for word, count in words.items()})
    return merges


def merge(word, pair):
    merged, i = [], 0
    while i < len(word):
        if word[i:i + 2] == pair:
            merged.append(word[i] + word[i + 1])
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return tuple(merged)


def write_merges(merges):
    lines = "\n".join(["#version: plenum, trained by tokens_reference.py"] + [" ".join(pair) for pair in merges])
    with open(os.path.join(HERE, "merges.txt"), "w", encoding="utf-8") as file:
        file.write(lines + "\n")
    return lines.encode()  # without a last line feed, which SimpleTokenizer would take for a merge


def encode(tokenizer, text):
    ids = [tokenizer.sot_token_id] + tokenizer.encode(text) + [tokenizer.eot_token_id]
    return struct.pack("<i%di" % len(ids), len(ids), *ids)


def main(path, bpe):
    module = load_open_clip(path, bpe)
    clip = module.SimpleTokenizer(bpe)
    with tempfile.NamedTemporaryFile(suffix=".gz") as file:
        file.write(gzip.compress(write_merges(train(clip))))
        file.flush()
        small = module.SimpleTokenizer(file.name)
    texts = [text for text in TEXTS + random_texts(250) if not is_mojibake(text)]
    with open(os.path.join(HERE, "cases.bin"), "wb") as file:
        file.write(struct.pack("<i", len(texts)))
        for text in texts:
            data = text.encode()
            file.write(struct.pack("<i", len(data)) + data + encode(small, text) + encode(clip, text))
    print("%d texts; vocabularies of %d and %d" % (len(texts), small.vocab_size, clip.vocab_size))
    print("left out:", [text for text in TEXTS if is_mojibake(text)])


main(*sys.argv[1:])
