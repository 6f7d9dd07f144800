"""A reload is a difference: what did not change is not touched."""

from dataclasses import replace

from pyvrrp.config.model import Config, Globals, VrrpInstance
from pyvrrp.core.parameters import Parameters
from pyvrrp.daemon.reload import plan


def instance(name, vrid, **parameters):
    return VrrpInstance(name=name, interface="eth0", parameters=Parameters(vrid=vrid, **parameters))


ONE, TWO = instance("ONE", 1), instance("TWO", 2)
BEFORE = Config(instances=(ONE, TWO))


def test_the_same_file_again_changes_nothing():
    todo = plan(BEFORE, Config(instances=(TWO, ONE)))
    assert (todo.removed, todo.changed, todo.added) == ((), (), ())
    assert str(todo) == "no instance changed"


def test_added_removed_changed():
    after = replace(TWO, parameters=Parameters(vrid=2, priority=50))
    todo = plan(BEFORE, Config(instances=(after, instance("THREE", 3))))
    assert todo.removed == (ONE,)
    assert todo.changed == ((TWO, after),)
    assert [each.name for each in todo.added] == ["THREE"]
    assert str(todo) == "removed ONE; changed TWO; added THREE"


def test_a_renamed_instance_is_the_same_virtual_router():
    renamed = instance("UNO", 1)
    assert plan(BEFORE, Config(instances=(renamed, TWO))).changed == ((ONE, renamed),)


def test_another_version_is_another_virtual_router():
    v3 = instance("ONE", 1, version=3)
    todo = plan(BEFORE, Config(instances=(v3, TWO)))
    assert (todo.removed, todo.added) == ((ONE,), (v3,))


def test_globals_touch_every_instance():
    todo = plan(BEFORE, Config(instances=(ONE, TWO), globals=Globals(garp_interval=0.5)))
    assert todo.changed == ((ONE, ONE), (TWO, TWO))
