from tests.support.world import World, done


def test_a_token_opens_its_card_once(world: World) -> None:
    ready = world.ready()
    client = world.client("magetan.kepala")
    body = world.activation(ready, ready.uids[0])
    made = done(client.post("/activations", body), 201)
    assert made["manifest"]["seq"] == 1
    assert client.post("/activations", body).status_code == 409
