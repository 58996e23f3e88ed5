import { Authorized, Query, Resolver } from 'type-graphql';
import { FLUX_MODELS, type FluxModel } from '../../core/tasks/models.js';
import { FluxModelType } from './flux-model.type.js';

@Resolver(() => FluxModelType)
export class FluxModelResolver {
  @Authorized('tasks:read')
  @Query(() => [FluxModelType], {
    description: 'What each model accepts, so that a form can be built from it.',
  })
  models(): readonly FluxModel[] {
    return FLUX_MODELS;
  }
}
