"""Cutting Chinese by the dictionary in a file is jieba's own cutting."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from index import chinese
from index.encoders.labels import background

MORE = [
    "",
    "abc",
    "窗边的狗在看第3场雨。",
    "南京市长江大桥",
    "我来到北京清华大学",
    "𠀀𠀁生僻字",
    "他说：“好啊！”然后iPhone响了",
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONTAGE_MODELS", str(tmp_path / "cache" / "models"))
    chinese._cutter.cache_clear()
    return tmp_path / "cache" / "networks"


def test_words_are_those_of_jieba(own_cache: Path) -> None:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    plain = jieba.Tokenizer()
    texts = [*MORE, *background("zh")]
    wanted = [list(plain.cut(text)) for text in texts]
    assert [chinese.cut_chinese(text) for text in texts] == wanted
    (kept,) = own_cache.iterdir()
    chinese._cutter.cache_clear()
    assert [chinese.cut_chinese(text) for text in texts] == wanted
    words = chinese._cutter().FREQ
    for word in [*plain.FREQ][::997]:
        assert words[word] == words.get(word) == plain.FREQ[word]
    assert "没有这个词语" not in words
    assert words.get("没有这个词语") is None
    with pytest.raises(KeyError):
        words["没有这个词语"]
    kept.write_bytes(kept.read_bytes()[:-9])
    chinese._cutter.cache_clear()
    assert chinese.cut_chinese(texts[-1]) == wanted[-1]
