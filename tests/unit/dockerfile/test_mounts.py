"""`RUN --mount` read with BuildKit's words."""

import pytest

from pydock_lab.dockerfile.mounts import Mount, read_mount
from pydock_lab.dockerfile.parser import parse
from pydock_lab.dockerfile.typed import instruction
from pydock_lab.errors import DockerfileError


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/x", Mount(target="/x")),
        ("type=bind,from=a,src=b,dst=/c,rw", Mount(from_image="a", source="b", target="/c", read_only=False)),
        ("type=cache,target=/x", Mount(type="cache", target="/x", read_only=False)),
        (
            "type=cache,id=i,target=/x,ro,sharing=locked,mode=0700,uid=1,gid=2",
            Mount("cache", "/x", id="i", sharing="locked", mode=0o700, uid=1, gid=2),
        ),
        ("type=tmpfs,destination=/x,size=1.5m", Mount("tmpfs", "/x", read_only=False, size_bytes=3 << 19)),
        ("type=secret,id=s,required,env=E", Mount("secret", id="s", required=True, env="E")),
        ("type=ssh", Mount("ssh")),
        ('type=bind,"source=a,b",target=/x,readonly=false', Mount(source="a,b", target="/x", read_only=False)),
    ],
)
def test_mounts(text: str, mount: Mount) -> None:
    assert read_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=cach,target=/x", 'unsupported mount type "cach" (did you mean cache?)'),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("target=/x,colour=1", "unexpected key 'colour' in 'colour=1'"),
        ("target=/x,required=true", "unexpected key 'required' for mount type 'bind'"),
        ("type=cache,target=/x,size=1", "unexpected key 'size' for mount type 'cache'"),
        ("type=tmpfs,target=/x,size=big", "invalid value for size: big"),
        ("target=/x,mode=0700", 'mode not allowed for "bind" type mounts'),
        ("type=cache,target=/x,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/x,sharing=none", 'unsupported sharing value "none"'),
        ("target=/x,sharing=shared", "invalid cache sharing set for bind mount"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,src=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("target=/x,ro=maybe", "invalid value for ro: maybe"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as raised:
        read_mount(text)
    assert raised.value.message == message


def test_a_mistake_has_its_line() -> None:
    with pytest.raises(DockerfileError) as raised:
        instruction(parse("FROM x\nRUN --mount=type=nope true\n").nodes[1])
    assert (raised.value.line, raised.value.message) == (
        2,
        'dockerfile parse error on line 2: unsupported mount type "nope"',
    )
    instruction(parse("FROM x\nRUN --mount=type=$KIND true\n").nodes[1])
