"""Groups, roles and explain through the admin API."""

from tests.world import SERVICE, World, access_of


async def test_a_member_has_what_is_bound_to_the_group(world: World) -> None:
    """A binding of a group works for its members as long as they are in it, from the next token on."""
    await world.add_user("alice")
    await world.add_project("acme")
    await world.api("POST", "/groups", {"name": "devs"}, expect=201)
    await world.bind("developer", "group", "devs", "acme")
    assert access_of(await world.ask_as("alice", "repository:acme/app:push")) == {}
    await world.api("PUT", "/groups/devs/members/alice", expect=204)
    await world.api("PUT", "/groups/devs/members/alice", expect=204)
    assert (await world.api("GET", "/groups/devs/members", expect=200))["items"] == [{"name": "alice"}]
    assert access_of(await world.ask_as("alice", "repository:acme/app:push")) == {"acme/app": ["push"]}
    await world.api("DELETE", "/groups/devs/members/alice", expect=204)
    await world.api("DELETE", "/groups/devs/members/alice", expect=404)
    assert access_of(await world.ask_as("alice", "repository:acme/app:push")) == {}


async def test_a_role_s_edit_is_effective_at_the_next_token(world: World) -> None:
    """Who is bound to a role holds what the role holds at the time of the request."""
    await world.add_user("alice")
    await world.add_project("acme")
    role = {"name": "pusher", "permissions": ["repository:push", "repository:pull"]}
    await world.api("POST", "/roles", role, expect=201)
    await world.bind("pusher", "user", "alice", "acme")
    assert access_of(await world.ask_as("alice", "repository:acme/app:pull,push")) == {
        "acme/app": ["pull", "push"]
    }
    await world.api("PATCH", "/roles/pusher", {"permissions": ["repository:pull"]}, expect=200)
    assert access_of(await world.ask_as("alice", "repository:acme/app:pull,push")) == {"acme/app": ["pull"]}
    await world.api("DELETE", "/roles/pusher", expect=409)
    await world.api("PATCH", "/roles/owner", {"description": "mine"}, expect=409)


async def test_a_group_hands_out_no_more_than_its_manager_holds(world: World) -> None:
    """Who may write groups puts nobody into one that is bound to more than he holds."""
    await world.add_user("bob")
    await world.add_user("eve")
    await world.api("POST", "/groups", {"name": "admins"}, expect=201)
    await world.bind("administrator", "group", "admins")
    role = {"name": "group-manager", "permissions": ["group:write", "group:read"]}
    await world.api("POST", "/roles", role, expect=201)
    await world.bind("group-manager", "user", "bob")
    by_bob = ("bob", "password-of-bob")
    await world.api("PUT", "/groups/admins/members/bob", expect=403, by=by_bob)
    await world.api("PUT", "/groups/admins/members/eve", expect=403, by=by_bob)
    await world.api("POST", "/groups", {"name": "plain"}, expect=201, by=by_bob)
    await world.api("PUT", "/groups/plain/members/eve", expect=204, by=by_bob)


async def test_explain_about_oneself_tells_of_no_project(world: World) -> None:
    """Without `user:read` a project that exists is explained as one that does not; a token whose limits leave it out asks not."""
    await world.add_user("alice")
    await world.add_project("hidden")
    by_alice = ("alice", "password-of-alice")
    scopes = ["repository:hidden/app:push,pull", "repository:absent/app:push,pull"]
    question = {"account": "alice", "service": SERVICE, "scopes": scopes}
    answer = await world.api("POST", "/explain", question, expect=200, by=by_alice)
    hidden, absent = ({**grant, "scope": ""} for grant in answer["grants"])
    assert hidden == absent
    assert {reason["reason"] for reason in hidden["reasons"]} == {"no_binding"}
    token = await world.add_token("alice", scopes=["repository:pull"])
    await world.api("POST", "/explain", question, expect=403, by=("alice", token))


async def test_explain_says_what_the_realm_does_and_why(world: World) -> None:
    """The explanation grants what the token grants, in the order asked, with the binding and role that decide it."""
    await world.add_user("alice")
    await world.add_project("acme")
    binding = await world.bind("reader", "user", "alice", "acme")
    scopes = ["repository:acme/app:pull,push", "repository:other/app:pull"]
    question = {"account": "alice", "service": SERVICE, "scopes": scopes}
    answer = await world.api("POST", "/explain", question, expect=200)
    first, second = answer["grants"]
    assert (first["scope"], first["granted"], first["refused"]) == (scopes[0], ["pull"], ["push"])
    assert first["reasons"][0] == {
        "action": "pull", "allowed": True, "reason": "binding", "binding": binding["id"], "role": "reader", "group": None,
    }  # fmt: skip
    assert [reason["reason"] for reason in second["reasons"]] == ["unknown_project"]
    assert access_of(await world.ask_as("alice", *scopes)) == {"acme/app": ["pull"]}
