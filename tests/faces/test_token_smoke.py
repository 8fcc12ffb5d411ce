"""The realm in one breath; the items of the protocol are tested one by one beside this."""

from tests.world import World, access_of


async def test_a_developer_gets_what_is_bound_and_asked(world: World) -> None:
    """A developer's token grants pull and push, and not delete."""
    await world.add_user("alice")
    await world.add_project("acme")
    await world.bind("developer", "user", "alice", "acme")
    answer = await world.ask_as("alice", "repository:acme/app:pull,push,delete")
    assert access_of(answer) == {"acme/app": ["pull", "push"]}


async def test_a_role_taken_away_is_gone_at_the_next_token(world: World) -> None:
    """Once a binding's deletion has returned, no token rests on it."""
    await world.add_user("alice")
    await world.add_project("acme")
    binding = await world.bind("developer", "user", "alice", "acme")
    assert access_of(await world.ask_as("alice", "repository:acme/app:pull")) == {"acme/app": ["pull"]}
    await world.api("DELETE", f"/projects/acme/bindings/{binding['id']}", expect=204)
    assert access_of(await world.ask_as("alice", "repository:acme/app:pull")) == {}
